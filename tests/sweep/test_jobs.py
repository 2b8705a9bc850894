"""A job of a sweep: run once, failed by itself, run again when its configuration changed."""

from pathlib import Path

import pytest

from medsam_exp.sweep.jobs import attempt, error_of, last_line, status_of
from medsam_exp.types import UserError
from tests.compose import composed


class Work:
    """Counts how often it is done; leaves a summary as a run does."""

    def __init__(self, folder: Path, error: BaseException | None = None) -> None:
        self.folder, self.error, self.times = folder, error, 0

    def __call__(self) -> None:
        self.times += 1
        if self.error is not None:
            raise self.error
        (self.folder / "summary.json").write_text("{}")


def test_a_done_job_is_not_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path)
    for _ in range(2):
        attempt(composed("seed=1"), tmp_path, work)
    assert (work.times, status_of(tmp_path)) == (1, "done")


@pytest.mark.parametrize(
    ("override", "times"), [("seed=2", 2), ("paths.outputs=/elsewhere", 1), ("workers=3", 1)]
)
def test_a_changed_configuration_is_run_again(tmp_path: Path, override: str, times: int) -> None:
    work = Work(tmp_path)
    attempt(composed("seed=1"), tmp_path, work)
    attempt(composed("seed=1", override), tmp_path, work)
    assert work.times == times


def test_a_failure_is_written_down_and_stays_the_jobs_own(tmp_path: Path) -> None:
    work = Work(tmp_path, UserError("first\nthe last line\n"))
    attempt(composed(), tmp_path, work)
    assert (status_of(tmp_path), error_of(tmp_path)) == ("failed", "the last line")
    assert "UserError" in (tmp_path / "error.txt").read_text()
    work.error = None
    attempt(composed(), tmp_path, work)
    assert (status_of(tmp_path), error_of(tmp_path), work.times) == ("done", None, 2)
    assert not (tmp_path / "error.txt").exists()


def test_fail_fast_lets_the_failure_through(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        attempt(composed("sweep.fail_fast=true"), tmp_path, Work(tmp_path, RuntimeError("broken")))
    assert status_of(tmp_path) == "failed"


def test_a_job_that_was_killed_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(composed(), tmp_path, Work(tmp_path, KeyboardInterrupt()))
    assert status_of(tmp_path) == "missing"


def test_an_error_without_words_is_named() -> None:
    assert last_line(ValueError()) == "ValueError"
