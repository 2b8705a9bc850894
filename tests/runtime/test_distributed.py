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
