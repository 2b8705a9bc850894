"""The books of a sweep: kept, or the sweep ends; Hydra alone would go on with a warning."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict, read_write

from medsam_exp.cli.compose import register
from medsam_exp.sweep.callback import SweepCallback
from medsam_exp.sweep.status import attempt, status_of
from tests.compose import CONF, composed


def of_sweep(outputs: Path, *typed: str) -> DictConfig:
    """What Hydra gives a callback when this was typed."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"paths.outputs={outputs}"], return_hydra_config=True)
    with read_write(config), open_dict(config):
        config.hydra.overrides.task = list(typed)
    return config


def test_a_sweep_that_cannot_be_named_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: saliency=glob\(m\*\): a sweep needs its values by name"):
        SweepCallback().on_multirun_start(of_sweep(tmp_path, "saliency=glob(m*)"))


def test_an_unforeseen_error_ends_the_sweep_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("books")

    monkeypatch.setattr("medsam_exp.sweep.callback.plan_sweep", broken)
    with pytest.raises(SystemExit, match="books"):
        SweepCallback().on_multirun_start(of_sweep(tmp_path, "seed=0,1"))


def test_jobs_done_under_other_files_of_the_configuration_are_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin() -> tuple[Path, list[str]]:
        config = of_sweep(tmp_path, "seed=0,1")
        callback = SweepCallback()
        monkeypatch.setattr("atexit.register", lambda _: None)
        callback.on_multirun_start(config)
        folder = Path(config.hydra.sweep.dir)
        return folder, [job["status"] for job in json.loads((folder / "sweep.json").read_text())["jobs"]]

    folder, statuses = begin()
    assert statuses == ["missing", "missing"]
    (folder / "seed=0").mkdir()

    def work() -> None:
        (folder / "seed=0" / "summary.json").write_text("{}")

    attempt(composed("seed=0"), folder / "seed=0", work, lambda _: "images")
    assert begin()[1] == ["done", "missing"]
    monkeypatch.setattr("medsam_exp.sweep.callback.configuration_files_digest", lambda: "changed")
    assert begin()[1] == ["missing", "missing"]
    attempt(composed("seed=0"), folder / "seed=0", lambda: pytest.fail("run again"), lambda _: "images")
    assert status_of(folder / "seed=0") == "done"
