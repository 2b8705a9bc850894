"""A few drawn scans as a planned nnU-Net dataset, for measurements."""

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.nnunet.environment import RAW
from medsam_exp.nnunet.plans import plan_and_preprocess
from medsam_exp.nnunet.raw_dataset import Case, write_raw_dataset
from medsam_exp.nnunet.settings import NnunetSettings

_DEFAULTS = Path(__file__).resolve().parents[1] / "conf" / "nnunet" / "2d.yaml"


def settings(**changes: Any) -> NnunetSettings:
    """nnU-Net's own numbers, with changes."""
    numbers: Any = OmegaConf.to_container(OmegaConf.load(_DEFAULTS))
    return NnunetSettings(**{key: value for key, value in numbers.items() if key != "_target_"} | changes)


def scans(count: int) -> list[Case]:
    """Scans of 144 to 224 pixels with their true masks."""
    drawn = PhantomDataset(seed=9, count=count, pair_fraction=0.0)
    return [
        Case(sample.id, drawn.read_image(sample.id), drawn.read_ground_truth(sample.id).astype(np.uint8))
        for sample in drawn.samples
    ]


def planned(root: Path, chosen: NnunetSettings, count: int) -> Path:
    """Plan and preprocess so many scans below `root`; give the file of plans."""
    write_raw_dataset(root, "phantoms", scans(count), {"background": 0, "lesion": 1})
    return plan_and_preprocess(root, root / RAW, chosen, root / "nnunet.log")
