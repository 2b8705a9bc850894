"""Locks between processes: one at a time, the others find its results, the dead hold none."""

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.locks import acquired, is_locked, waiting_lock

SAMPLES = [f"image_{number}" for number in range(5)]


def forked(work: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def wait_for(path: Path) -> None:
    end = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def store(root: Path) -> StageArtifacts:
    return StageArtifacts(
        root, "saliency", "key", {name: str(number) * 64 for number, name in enumerate(SAMPLES)}
    )


def compute(root: Path, who: str, dies_after: int | None = None) -> None:
    """Do what the engine does with a stage, and note each sample that was computed."""
    artifacts = store(root)
    with artifacts.locked():
        for count, sample in enumerate(artifacts.pending(SAMPLES)):
            if count == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.02)
            artifacts.save(sample, {"by": who})
            with (root / "computed").open("a") as file:
                file.write(f"{sample}\n")


def test_processes_that_need_the_same_results_compute_each_once(tmp_path: Path) -> None:
    processes = [forked(compute, tmp_path, str(number)) for number in range(4)]
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted((tmp_path / "computed").read_text().split()) == SAMPLES
    assert len({store(tmp_path).info(sample)["by"] for sample in SAMPLES}) == 1


def test_who_takes_over_from_a_dead_process_computes_the_rest_only(tmp_path: Path) -> None:
    dying = forked(compute, tmp_path, "dying", 2)
    wait_for(tmp_path / "computed")
    other = forked(compute, tmp_path, "other")
    dying.join(20)
    other.join(20)
    assert (dying.exitcode, other.exitcode) == (-signal.SIGKILL, 0)
    assert sorted((tmp_path / "computed").read_text().split()) == SAMPLES
    assert [store(tmp_path).info(sample)["by"] for sample in SAMPLES] == ["dying"] * 2 + ["other"] * 3


def test_who_waits_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def hold() -> None:
        with waiting_lock(tmp_path / "lock", ""):
            (tmp_path / "held").touch()
            time.sleep(0.5)

    holder = forked(hold)
    wait_for(tmp_path / "held")
    with caplog.at_level(logging.INFO), waiting_lock(tmp_path / "lock", "waits"):
        assert caplog.messages == ["waits"]
    holder.join(10)
    with caplog.at_level(logging.INFO), waiting_lock(tmp_path / "lock", "waits"):
        assert caplog.messages == ["waits"], "a free lock is taken in silence"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.ENOSYS])
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_where_files_cannot_be_locked_a_file_stands_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuses)
    processes = [forked(compute, tmp_path / "store", str(index)) for index in range(3)]
    (tmp_path / "store").mkdir(exist_ok=True)
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 3
    assert sorted((tmp_path / "store" / "computed").read_text().split()) == SAMPLES
    held = acquired(tmp_path / "lock")
    assert held is not None
    assert acquired(tmp_path / "lock") is None
    held.release()
    assert not is_locked(tmp_path / "lock")


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_the_lock_file_of_a_dead_process_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def die() -> None:
        acquired(tmp_path / "lock")
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(fcntl, "flock", refuses)
    process = forked(die)
    process.join(20)
    with waiting_lock(tmp_path / "lock", "", seconds=20):
        assert acquired(tmp_path / "lock") is None


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    with (
        waiting_lock(tmp_path / "lock", ""),
        pytest.raises(TimeoutError, match="held by another process"),
        waiting_lock(tmp_path / "lock", "", seconds=0.1),
    ):
        raise AssertionError
