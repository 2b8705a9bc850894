"""The books of a sweep: kept, or the sweep ends; Hydra alone would go on with a warning."""

import errno
import json
import logging
import os
import re
from collections.abc import Callable
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


def test_a_full_disk_at_the_end_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Hydra's launcher has failed over it, and the books are closed as the process ends."""
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    SweepCallback().on_multirun_start(of_sweep(tmp_path, "seed=0,1"))

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("medsam_exp.sweep.callback.write_atomically", full)
    at_exit[0]()
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert re.search(r"sweep\.json: no space left on device; free space", said)


@pytest.mark.parametrize("jump", [-7200.0, 0.0, 7200.0])
def test_the_jobs_of_before_are_told_apart_where_the_clock_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, jump: float
) -> None:
    """One of two jobs was done before; the other is done now, hours earlier or later by the clock."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("atexit.register", lambda _: None)

    def done(name: str, now: float) -> None:
        monkeypatch.setattr("time.time", lambda: now)
        folder = Path(config.hydra.sweep.dir) / name

        def work() -> None:
            folder.mkdir(exist_ok=True)
            (folder / "summary.json").write_text("{}")

        attempt(composed(name), folder, work, lambda _: "images")

    for number, now in enumerate((1e9, 1e9 + jump)):
        config = of_sweep(tmp_path, "seed=0,1")
        callback = SweepCallback()
        callback.on_multirun_start(config)
        done(f"seed={number}", now)
    assert callback._finish() == 0
    assert "2 of 2 jobs done (1 before)" in caplog.text
    assert not re.search(r"-\d+\.\d s", caplog.text), "no job took less than no time"


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
