"""Only what nobody needs is ever offered, and only what was agreed to is deleted."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from medsam_exp.cli.artifact_gc import unused
from medsam_exp.cli.main import main
from tests.cli.artifact_gc.conftest import OLD, Outputs, clean, key, remaining
from tests.command import refusal


def test_what_a_run_needs_stays_with_all_that_it_was_made_from(outputs: Outputs) -> None:
    """Among it the results of other images, which only a manifest names."""
    outputs.result("saliency", 1)
    outputs.result("coarse_mask", 2, parents={"saliency": 1})
    outputs.result("saliency", 3)
    outputs.result("sam_mask", 4, parents={"saliency": 3})
    outputs.result("weak_label", 5, config={"auxiliary": {"keys": {"sam_mask": key(4)}}})
    outputs.result("train_nnunet", 6, parents={"weak_label": 5})
    outputs.result("saliency", 7)
    outputs.result("sam_mask", 8, parents={"saliency": 1})
    outputs.run("a/1", keys={"coarse_mask": 2, "train_nnunet": 6})
    assert clean() == 0
    assert remaining(outputs) == {
        "saliency/1", "coarse_mask/2", "saliency/3", "sam_mask/4", "weak_label/5", "train_nnunet/6",
    }  # fmt: skip
    assert not (outputs.artifacts / "saliency" / f"{key(7)}.lock").exists()
    assert (outputs.artifacts / "saliency" / f"{key(1)}.lock").exists()


def test_runs_of_sweeps_at_any_depth_count(outputs: Outputs) -> None:
    for number in range(1, 5):
        outputs.result("saliency", number)
    job = outputs.folder / "sweeps" / "s" / "0123456789" / "seed=1"
    job.mkdir(parents=True)
    (job / "summary.json").write_text(json.dumps({"keys": {"saliency": key(1)}}))
    (job.parent / "sweep.json").write_text(json.dumps({"jobs": [{}, {}]}))
    outputs.run("deep/er/than/usual", keys={"saliency": 2})
    elsewhere = outputs.top / "elsewhere" / "runs" / "b"
    elsewhere.mkdir(parents=True)
    (elsewhere / "summary.json").write_text(json.dumps({"keys": {"saliency": key(3)}}))
    clean("--also", "elsewhere")
    assert remaining(outputs) == {"saliency/1", "saliency/2", "saliency/3"}
    clean()
    assert remaining(outputs) == {"saliency/1", "saliency/2"}


@pytest.mark.parametrize(
    "place",
    [
        "outputs/runs/b/.hydra/config.yaml",
        "outputs/runs/b/.hydra/overrides.yaml",
        "outputs/runs/b/keys.json",
        "conf/clip/mine.yaml",
        "conf/tuned/x.yaml",
        "experiments/t/expected.json",
        "repeat.sh",
    ],
)
def test_a_folder_named_in_a_configuration_or_script_stays(outputs: Outputs, place: str) -> None:
    outputs.run("b")
    outputs.run("a", keys={})
    outputs.result("finetune_clip", 1)
    outputs.result("finetune_clip", 2)
    path = outputs.top / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff model: outputs/artifacts/finetune_clip/" + key(1).encode() + b"/clip\n")
    clean()
    assert remaining(outputs) == {"finetune_clip/1"}


def test_files_of_one_name_in_a_runs_folder_do_not_hide_each_other(outputs: Outputs) -> None:
    outputs.result("saliency", 1)
    outputs.run("a/1", keys={})
    for place, named in ((".hydra", key(1)), (".", "none")):
        (outputs.folder / "runs" / "a" / "1" / place).mkdir(parents=True, exist_ok=True)
        (outputs.folder / "runs" / "a" / "1" / place / "config.yaml").write_text(f"network: {named}\n")
    clean()
    assert remaining(outputs) == {"saliency/1"}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"keys": null}', ""])
def test_with_one_unreadable_summary_everything_stays(
    outputs: Outputs, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.result("saliency", 1)
    outputs.run("good", keys={})
    (outputs.run("broken") / "summary.json").write_text(content)
    assert clean() == 1
    assert remaining(outputs) == {"saliency/1"}
    said = capsys.readouterr().out
    assert "broken/summary.json" in said
    assert "everything is kept" in said


def test_with_an_unreadable_manifest_of_something_needed_everything_stays(outputs: Outputs) -> None:
    outputs.result("saliency", 1)
    (outputs.result("coarse_mask", 2, parents={"saliency": 1}) / "manifest.json").write_text(
        '{"parents": {"sal'
    )
    outputs.run("a", keys={"coarse_mask": 2})
    assert clean() == 1
    assert remaining(outputs) == {"saliency/1", "coarse_mask/2"}


def test_what_is_being_computed_stays(outputs: Outputs) -> None:
    outputs.run("a", keys={})
    outputs.result("saliency", 1)
    searched = outputs.result("tune", 2, finished=False)
    with FileLock(outputs.artifacts / "saliency" / f"{key(1)}.lock"), FileLock(searched / "worker.lock"):
        Outputs.age(searched, OLD)
        clean()
        assert remaining(outputs) == {"saliency/1", "tune/2"}
    clean("--hours", "0")
    assert remaining(outputs) == set()


def test_what_was_used_a_short_while_ago_stays(outputs: Outputs) -> None:
    outputs.run("a", keys={})
    outputs.result("saliency", 1)
    file = outputs.result("saliency", 2) / "image.0123456789ab.npy"
    os.utime(file, (time.time() - 3600,) * 2)
    touched = outputs.result("saliency", 3)
    os.utime(touched)
    clean()
    assert remaining(outputs) == {"saliency/2", "saliency/3"}
    clean("--hours", "0.5")
    assert remaining(outputs) == {"saliency/3"}


@pytest.mark.parametrize(
    ("said", "deleted"), [("y", True), ("YES", True), ("", False), ("n", False), (None, False)]
)
def test_it_asks_first(outputs: Outputs, answer, said: str | None, deleted: bool, capsys) -> None:
    outputs.run("a", keys={})
    outputs.result("saliency", 1)
    outputs.result("saliency", 2)
    asked = answer(said)
    assert main(["clean", "outputs"]) == 0
    assert len(asked) == 1
    assert "delete these 2 from outputs/artifacts (2.1 kB)?" in asked[0]
    assert remaining(outputs) == (set() if deleted else {"saliency/1", "saliency/2"})
    assert ("deleted 2 stored results, 2.1 kB freed" in capsys.readouterr().out) == deleted
    assert (outputs.folder / "runs" / "a" / "summary.json").is_file()


def test_a_run_that_begins_while_the_question_stands_keeps_its_results(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run("a", keys={})
    for number in (1, 2, 3):
        outputs.result("saliency", number)
    lock = FileLock(outputs.artifacts / "saliency" / f"{key(3)}.lock")

    def later(_: str) -> str:
        (outputs.run("b") / "keys.json").write_text(json.dumps([key(1)]))
        lock.acquire()
        return "y"

    monkeypatch.setattr("builtins.input", later)
    main(["clean", "outputs"])
    lock.release()
    assert remaining(outputs) == {"saliency/1", "saliency/3"}
    assert "2 are in use by now and were kept" in capsys.readouterr().out


def test_a_deletion_that_was_broken_off_leaves_no_half_result(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs.run("a", keys={})
    outputs.result("saliency", 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(unused.shutil, "rmtree", killed)
        assert clean() == 130
    assert remaining(outputs) == set()
    assert list((outputs.artifacts / "saliency").glob(".deleted-*"))
    again = outputs.result("saliency", 1)
    os.utime(again)
    clean()
    assert remaining(outputs) == {"saliency/1"}, "the left-over goes, what was computed anew stays"
    assert not list((outputs.artifacts / "saliency").glob(".deleted-*"))


def test_without_runs_nothing_is_deleted(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    outputs.result("saliency", 1)
    assert "there are no runs below outputs" in refusal(capsys, ["clean", "outputs", "--yes"])
    assert "nowhere is no folder" in refusal(capsys, ["clean", "nowhere", "--yes"])
    assert remaining(outputs) == {"saliency/1"}


def test_runs_that_said_nothing_are_named(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    outputs.run("a", keys={})
    outputs.run("killed")
    outputs.result("saliency", 1, finished=False)
    (outputs.artifacts / "file_digests.json").write_text("{}")
    (outputs.artifacts / "saliency" / "notes").mkdir()
    clean()
    said = capsys.readouterr().out
    assert "1 runs ended early and do not say what they used: outputs/runs/killed" in said
    assert "never finished; last used 4 days ago" in said
    assert (outputs.artifacts / "file_digests.json").is_file()
    assert (outputs.artifacts / "saliency" / "notes").is_dir()


@pytest.mark.slow
def test_it_starts_without_torch(outputs: Outputs) -> None:
    """Hundreds of runs are listed at once; importing networks would take longer than that."""
    code = (
        "import sys; from medsam_exp.cli.artifact_gc.commands import clean; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
