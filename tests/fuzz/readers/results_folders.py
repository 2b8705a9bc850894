"""Results folders of nnU-Net."""

import tempfile
from pathlib import Path

import numpy as np

from medsam_exp.nnunet.inference import Predictor
from medsam_exp.nnunet.results import results_folder
from tests.fuzz.reader import Files, Reader, files_below
from tests.nnunet.test_trusted_names import PLANS, make_folder

_CHANNELS = {
    "0": {
        "mean": 1.0,
        "std": 1.0,
        "percentile_00_5": 0.0,
        "percentile_99_5": 1.0,
        "min": 0,
        "max": 1,
        "median": 1,
    }
}


def _folder() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        make_folder(
            Path(folder) / "results", PLANS | {"foreground_intensity_properties_per_channel": _CHANNELS}
        )
        (Path(folder) / "results" / "hubconf.py").unlink()
        return files_below(Path(folder))


def _predictor(folder: Path) -> None:
    found = results_folder(folder / "results", "checkpoint_final.pth")
    found.labels  # noqa: B018 - reads dataset.json
    predictor = Predictor(found)
    predictor.prepare(np.zeros((32, 32, 3), np.uint8))
    predictor.use(found.members[0])


READERS = (Reader("nnunet results", _folder, _predictor, ("*.json", "*.json", "*.pth"), cost=10),)
