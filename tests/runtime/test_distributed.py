"""A job of several processes ends when one of them fails."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medsam_exp.runtime import distributed


@pytest.mark.timeout(180)  # a group that is taken down in the wrong way never ends
def test_a_process_that_fails_amid_a_shared_computation_ends_the_job(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert distributed.launch("tests.failing_member", [], 2) != 0
    assert "error: sample 7 is damaged" in capfd.readouterr().err


@pytest.mark.timeout(180)
def test_a_process_that_is_killed_ends_the_job_by_sentences(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert distributed.launch("tests.killed_member", [], 2) == 1
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == "error: process 1 of this job was killed by SIGKILL, perhaps for want of memory"
    assert set(said[:-1]) <= {"error: another process of this job ended before this one was done with it"}


@pytest.mark.parametrize(
    ("failures", "first"),
    [
        ([(7, 1), (7, -signal.SIGKILL)], 1),
        ([(7, -signal.SIGTERM), (7, 1), (7, -signal.SIGSEGV)], 2),
        ([(7, 1), (6, 2), (6, 1)], 1),
        ([(8, -signal.SIGKILL), (7, 1)], 1),
    ],
)
def test_a_killed_process_is_the_first_of_its_second_to_fail(
    failures: list[tuple[int, int]], first: int
) -> None:
    known: dict[int, Any] = {
        rank: SimpleNamespace(local_rank=rank, timestamp=second, exitcode=code)
        for rank, (second, code) in enumerate(failures)
    }
    assert distributed._first_failure(known).local_rank == first
