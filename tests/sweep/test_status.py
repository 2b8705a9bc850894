"""A job of a sweep: run once, failed by itself, run again when its configuration changed."""

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig

from medsam_exp.sweep.status import (
    attempt,
    clear_failure,
    error_line,
    error_of,
    invalidate,
    is_up_to_date,
    outcome,
    record_failure,
    status_of,
)
from medsam_exp.types import UserError
from tests.compose import composed


def plan(_: DictConfig) -> str:
    """The same files every time."""
    return "images"


class Work:
    """Counts how often it is done; leaves a summary as a run does."""

    def __init__(self, folder: Path, error: BaseException | None = None) -> None:
        self.folder, self.error, self.times = folder, error, 0

    def __call__(self) -> None:
        self.times += 1
        self.folder.mkdir(exist_ok=True)
        if self.error is not None:
            raise self.error
        (self.folder / "summary.json").write_text("{}")


def test_a_done_job_is_not_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path)
    for _ in range(2):
        attempt(composed("seed=1"), tmp_path, work, plan)
    assert (work.times, status_of(tmp_path)) == (1, "done")


@pytest.mark.parametrize(
    ("override", "times"), [("seed=2", 2), ("paths.outputs=/elsewhere", 1), ("workers=3", 1)]
)
def test_a_changed_configuration_is_run_again(tmp_path: Path, override: str, times: int) -> None:
    work = Work(tmp_path)
    attempt(composed("seed=1"), tmp_path, work, plan)
    attempt(composed("seed=1", override), tmp_path, work, plan)
    assert work.times == times


def test_where_a_folders_checks_are_stored_leaves_a_job_done(tmp_path: Path) -> None:
    work, images = Work(tmp_path), ("data=folder", "data.root=images")
    for artifacts in ("here", "there"):
        attempt(composed(*images, f"paths.artifacts={artifacts}"), tmp_path, work, plan)
    assert work.times == 1
    attempt(composed(*images, "data.limit=3"), tmp_path, work, plan)
    assert work.times == 2


def test_fetching_the_weights_that_the_hub_gave_leaves_a_job_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan has the checksums, so where the same files lie makes no difference."""
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path / "weights"))
    work = Work(tmp_path / "job")
    attempt(composed("clip=biomedclip"), tmp_path / "job", work, plan)
    (tmp_path / "weights" / "biomedclip").mkdir(parents=True)
    (tmp_path / "weights" / "biomedclip" / "open_clip_config.json").touch()
    attempt(composed("clip=biomedclip"), tmp_path / "job", work, plan)
    assert work.times == 1
    attempt(composed("clip=biomedclip", "clip.saliency_layer=3"), tmp_path / "job", work, plan)
    assert work.times == 2


def test_a_failure_is_recorded_and_stays_the_jobs_own(tmp_path: Path) -> None:
    work = Work(tmp_path, ValueError("first\nthe last line\n"))
    attempt(composed(), tmp_path, work, plan)
    assert (status_of(tmp_path), error_of(tmp_path)) == ("failed", "the last line")
    assert "ValueError" in (tmp_path / "error.txt").read_text()
    work.error = None
    attempt(composed(), tmp_path, work, plan)
    assert (status_of(tmp_path), error_of(tmp_path), work.times) == ("done", None, 2)
    assert not (tmp_path / "error.txt").exists()


def test_after_a_failure_fail_fast_starts_no_other_job(tmp_path: Path) -> None:
    cfg = composed("sweep.fail_fast=true")
    broken, other = tmp_path / "broken", tmp_path / "other"
    for folder in (broken, other):
        folder.mkdir()
    attempt(cfg, broken, Work(broken, RuntimeError("broken")), plan)
    work = Work(other)
    attempt(cfg, other, work, plan)
    assert (work.times, status_of(other)) == (0, "missing")
    clear_failure(broken)  # as the next start of the sweep does
    attempt(cfg, other, work, plan)
    assert (work.times, status_of(other)) == (1, "done")


def test_without_fail_fast_a_failure_stops_no_other_job(tmp_path: Path) -> None:
    attempt(composed(), tmp_path / "broken", Work(tmp_path / "broken", RuntimeError("broken")), plan)
    work = Work(tmp_path / "other")
    attempt(composed(), tmp_path / "other", work, plan)
    assert status_of(tmp_path / "other") == "done"


def test_a_death_is_recorded_unless_the_job_recorded_its_status(tmp_path: Path) -> None:
    record_failure(tmp_path / "silent", "killed")
    assert (status_of(tmp_path / "silent"), error_of(tmp_path / "silent")) == ("failed", "killed")
    attempt(composed(), tmp_path / "failed", Work(tmp_path / "failed", UserError("its own word")), plan)
    record_failure(tmp_path / "failed", "killed")
    assert error_of(tmp_path / "failed") == "its own word"


def test_another_node_of_the_job_records_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = {
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NODEID": "1",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "a,b",
    }
    for name, value in {**slurm, "SUBMITIT_EXECUTOR": "slurm"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="lost"):
        attempt(composed(), tmp_path, Work(tmp_path, UserError("lost")), plan)
    assert status_of(tmp_path) == "missing"


def test_a_job_that_was_killed_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt(composed(), tmp_path, Work(tmp_path, KeyboardInterrupt()), plan)
    assert status_of(tmp_path) == "missing"


def test_an_error_without_words_is_named() -> None:
    assert error_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("old", ["masks/old.png", "report/images.js"])
def test_a_job_whose_files_changed_is_run_again_from_nothing(tmp_path: Path, old: str) -> None:
    work = Work(tmp_path)
    attempt(composed(), tmp_path, work, plan)
    (tmp_path / old).parent.mkdir()
    (tmp_path / old).touch()
    attempt(composed(), tmp_path, work, lambda _: "one corrected mask")
    assert (work.times, status_of(tmp_path)) == (2, "done")
    assert not (tmp_path / old).parent.exists()


@pytest.mark.parametrize("name", ["masks/a.png", "labels/labels.json", "uncertainty/a.npz"])
@pytest.mark.parametrize("damage", ["changed", "gone", "unreadable", "of an earlier version"])
def test_a_damaged_mask_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    class WithMask(Work):
        def __call__(self) -> None:
            super().__call__()
            (self.folder / name).parent.mkdir()
            (self.folder / name).write_bytes(b"a mask")

    work = WithMask(tmp_path)
    attempt(composed(), tmp_path, work, plan)
    (tmp_path / name).with_name("notes.txt").write_text("mine")
    attempt(composed(), tmp_path, work, plan)
    assert (work.times, (tmp_path / name).with_name("notes.txt").read_text()) == (1, "mine")
    if damage == "of an earlier version":  # which recorded nothing of masks
        record = json.loads((tmp_path / "job_status.json").read_text())
        record["tables"] = {"summary.json": record["tables"]["summary.json"]}
        (tmp_path / "job_status.json").write_text(json.dumps(record))
    if damage in ("gone", "unreadable"):
        (tmp_path / name).unlink()
    if damage == "unreadable":
        (tmp_path / name).mkdir()
    elif damage != "gone":
        (tmp_path / name).write_bytes(b"a mbsk")
    attempt(composed(), tmp_path, work, plan)
    assert work.times == (1 if damage == "of an earlier version" else 2)
    assert (tmp_path / name).read_bytes() == (b"a mbsk" if work.times == 1 else b"a mask")


def test_a_job_that_cannot_say_what_it_would_compute_fails_by_itself(tmp_path: Path) -> None:
    def lost(_: DictConfig) -> str:
        raise UserError("the images are gone")

    work = Work(tmp_path)
    attempt(composed(), tmp_path, work, lost)
    assert (work.times, error_of(tmp_path)) == (0, "the images are gone")


def test_an_invalidated_job_counts_again_once_it_was_checked(tmp_path: Path) -> None:
    work = Work(tmp_path)
    attempt(composed(), tmp_path, work, plan)
    invalidate(tmp_path)
    assert status_of(tmp_path) == "missing"
    assert not is_up_to_date(composed("seed=5"), tmp_path, plan)
    assert is_up_to_date(composed(), tmp_path, plan)
    assert (work.times, status_of(tmp_path)) == (1, "done")


def test_a_done_job_is_told_by_its_place_and_its_last_score(tmp_path: Path) -> None:
    folder = tmp_path / "seed=1"
    folder.mkdir()

    def score(mean: float) -> dict[str, object]:
        return {"mean": mean, "std": 0.1, "ci95": None, "n": 3}

    metrics = {"coarse/dsc": score(0.5), "sam/dsc": score(0.75), "sam/hd95_px": score(3)}
    (folder / "summary.json").write_text(json.dumps({"metrics": metrics}))
    assert outcome(folder) == "seed=1: SAM mask, DSC 0.750 ± 0.100"
    jobs = [
        {"folder": "seed=0"},
        {"folder": "seed=1"},
        {"folder": "a", "overrides": {"+text.text": "a\\ dark\\ mass"}},
    ]
    (tmp_path / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    assert outcome(folder) == "2 of 3  seed=1: SAM mask, DSC 0.750 ± 0.100"
    (folder / "summary.json").write_text(json.dumps({"metrics": {}}))
    assert outcome(folder) == "2 of 3  seed=1"
    folder.rename(tmp_path / "a")
    assert outcome(tmp_path / "a") == "3 of 3  text.text=a dark mass", (
        "as it was typed, not as folders are named"
    )
