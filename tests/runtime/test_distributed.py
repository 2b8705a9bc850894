"""A job of several processes ends when one of them fails."""

from pathlib import Path

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
