"""Files that the project itself has written, and that others or a crash may have changed."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from medsam_exp.cli.artifact_gc.runs import find_runs
from medsam_exp.config.tuned import _study_of
from medsam_exp.curation.quality.quick_check import _read as read_leaks
from medsam_exp.data.volumes.scan import read_record
from medsam_exp.engine.leakage import _read as read_learnt
from medsam_exp.masks.presence.calibrated import PACKAGED, Calibrated
from medsam_exp.report.compare import compare_runs
from medsam_exp.report.logger.job import _agent_job, _swept_keys
from medsam_exp.sweep.collect import collect
from medsam_exp.sweep.status import error_of, outcome, status_of
from medsam_exp.sweep.wandb_workspace import group_and_axes
from tests.fuzz.reader import Reader, written
from tests.sweep.conftest import make_run, make_sweep

_GEOMETRY = {
    "format": 1,
    "frame": "",
    "scans": [
        {
            "id": "a", "kind": "nifti", "modality": "", "shape": [4, 5, 3], "placed": True, "spacing_known": True,
            "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
            "view": {"axis": 2, "rows": 1, "columns": 0, "flip_rows": False, "flip_columns": False},
            "look": "", "source": {}, "slices": {"a_0": 0},
        }
    ],
}  # fmt: skip


def _geometry(folder: Path) -> None:
    from medsam_exp.data.volumes.grid import STORED

    content = json.loads(json.dumps(_GEOMETRY))
    content["scans"][0]["view"] = vars(STORED)
    (folder / "geometry.json").write_text(json.dumps(content))


def _sweep(folder: Path) -> None:
    make_sweep(folder / "sweep", {"saliency": ["m2ib", "gradcam"], "seed": ["0"]})
    for number in range(2):
        status = {"status": "done", "error": None, "at": 1.0}
        (folder / "sweep" / str(number) / "job_status.json").write_text(json.dumps(status))


def _runs(folder: Path) -> None:
    for name in ("a", "b"):
        make_run(folder / name, {"saliency": {"a": "m2ib", "b": "gradcam"}[name]})


def _collect_runs(folder: Path) -> None:
    collect([folder], folder / "out")


def _status(folder: Path) -> None:
    for job in ("0", "1"):
        place = folder / "sweep" / job
        if status_of(place) == "done":
            outcome(place)
        error_of(place)
    group_and_axes(str(folder / "sweep"))


def _features(folder: Path) -> None:
    calibrated = Calibrated(str(folder / "calibration.json"))
    calibrated(dict.fromkeys(calibrated._calibration.features, 0.5))


def _agent(folder: Path) -> None:
    _agent_job({"WANDB_SWEEP_ID": "x", "WANDB_SWEEP_PARAM_PATH": str(folder / "config.yaml")})


def _multirun(folder: Path) -> None:
    _swept_keys.__wrapped__(folder / "multirun.yaml")


def _of_file(name: str, content: str, read: Callable[[Path], object], of: str | None = None) -> Reader:
    return Reader(of or name, lambda: {name: content.encode()}, read)


_AGENT = {"saliency.beta": {"value": 0.5}, "seed": {"value": 1}, "wandb_version": 1}
_MULTIRUN = {"hydra": {"overrides": {"task": ["saliency=m2ib,gradcam", "seed=0"]}}}
_LEARNT = [{"stage": "train_sam", "data": "phantom", "split": "train"}]

READERS = (
    Reader("calibration.json", lambda: {"calibration.json": PACKAGED.read_bytes()}, _features),
    Reader("geometry.json", written(_geometry), read_record),
    Reader(
        "sweep",
        written(_sweep),
        lambda folder: collect([folder / "sweep"], folder / "out"),
        ("*/sweep.json", "*status.json", "*/summary.json", "*.csv"),
        cost=20,
    ),
    Reader("sweep of runs", written(_runs), _collect_runs, cost=30),
    Reader("sweep status", written(_sweep), _status, ("*.json",)),
    Reader("compare", written(_runs), lambda folder: compare_runs(folder / "a", folder / "b", "dsc")),
    Reader("runs", written(_sweep), lambda folder: find_runs(folder, folder / "artifacts")),
    _of_file("config.yaml", yaml.safe_dump(_AGENT), _agent, "wandb agent"),
    _of_file("multirun.yaml", yaml.safe_dump(_MULTIRUN), _multirun),
    _of_file(
        "tuned.yaml",
        "saliency: {beta: 0.3}\ntuned_on: {saliency: {study: x}}\n",
        lambda f: _study_of(f / "tuned.yaml", "saliency"),
    ),
    _of_file("leaks.json", '{"leaks": []}', lambda folder: read_leaks(folder / "leaks.json")),
    _of_file(
        "learnt_from.json",
        json.dumps(_LEARNT),
        lambda folder: list(read_learnt(folder / "learnt_from.json", "sam")),
    ),
)
