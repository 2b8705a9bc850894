"""Runs as they are listed: how each stands, its scores, its size; and what takes the space."""

import json
import multiprocessing
import re
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from medsam_exp.cli.artifact_gc.runs import find_runs
from medsam_exp.cli.main import main
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.run_status import alive, is_running
from medsam_exp.runtime.sizes import extent
from tests.cli.artifact_gc.conftest import Outputs, key
from tests.command import refusal


def score(mean: float) -> dict[str, object]:
    return {"mean": mean, "std": 0.0, "ci95": [mean, mean], "n": 3}


def metrics(sam: float, distance: float = 3.0) -> dict[str, object]:
    return {"coarse/dsc": score(sam / 2), "sam/dsc": score(sam), "sam/hd95_px": score(distance)}


def listed(outputs: Outputs, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict]:
    assert main(["runs", "outputs", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def names(runs: list[dict]) -> list[str]:
    return [run["name"].removeprefix("runs/") for run in runs]


def test_each_run_says_how_it_stands(outputs: Outputs) -> None:
    outputs.run("done", keys={}, date="2030-01-02T03:04:05+00:00", metrics=metrics(0.8))
    with pytest.raises(ValueError, match="out of"), alive(outputs.run("failed")):
        raise ValueError("out of memory\nat 512 px")
    with pytest.raises(KeyboardInterrupt), alive(outputs.run("killed")):
        raise KeyboardInterrupt
    (outputs.run("unreadable") / "summary.json").write_text("{")
    with alive(outputs.run("running")):
        found = {run.name.removeprefix("runs/"): run for run in find_runs(outputs.folder, outputs.artifacts)}
    assert {name: run.status for name, run in found.items()} == {
        "done": "done",
        "failed": "failed",
        "killed": "stopped",
        "unreadable": "unreadable",
        "running": "running",
    }
    assert found["failed"].note == "at 512 px"
    assert found["done"].when.isoformat().startswith("2030-01-02")
    assert found["done"].main == ("sam/dsc", "sam/hd95_px")
    assert found["done"].metrics == {"coarse/dsc": 0.4, "sam/dsc": 0.8, "sam/hd95_px": 3.0}
    assert found["done"].extent.bytes == sum(
        path.stat().st_size for path in (outputs.folder / "runs" / "done").rglob("*") if path.is_file()
    )


def test_a_run_that_goes_well_leaves_no_sign_of_life_and_a_retry_no_old_error(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text("old")
    with alive(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_listed_by_its_sentence(outputs: Outputs) -> None:
    with pytest.raises(UserError), alive(outputs.run("a")):
        raise UserError("saliency.layer=99: there are 6 layers")
    [run] = find_runs(outputs.folder, outputs.artifacts)
    assert (run.status, run.note) == ("failed", "saliency.layer=99: there are 6 layers")


def _hold(folder: Path, begun: Event) -> None:
    with alive(folder):
        begun.set()
        multiprocessing.Event().wait(60)


def test_a_killed_process_is_seen_as_gone(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    begun = fork.Event()
    process = fork.Process(target=_hold, args=(tmp_path, begun))
    process.start()
    assert begun.wait(30)
    assert is_running(tmp_path)
    process.kill()
    process.join()
    assert not is_running(tmp_path)


def test_a_sweep_counts_its_jobs_and_names_the_best(outputs: Outputs) -> None:
    folder = outputs.folder / "sweeps" / "s" / "0123456789"
    for job, (state, sam) in {"a": ("done", 0.6), "b": ("done", 0.7), "c": ("failed", 0.0)}.items():
        (folder / job).mkdir(parents=True)
        status = {"status": state, "configuration": "", "error": "it broke" if state == "failed" else None}
        (folder / job / "job_status.json").write_text(json.dumps(status))
        if state == "done":
            (folder / job / "summary.json").write_text(json.dumps({"keys": {}, "metrics": metrics(sam)}))
    (folder / "sweep.json").write_text(json.dumps({"jobs": [{}] * 4}))
    [sweep] = find_runs(outputs.folder, outputs.artifacts)
    assert (sweep.name, sweep.status) == ("sweeps/s/0123456789", "failed")
    assert sweep.note == "2 of 4 jobs done, 1 failed, best sam/dsc: b"
    assert sweep.metrics["sam/dsc"] == 0.7
    assert [job.note for job in sweep.jobs] == ["", "", "it broke"]
    assert sweep.extent == extent(folder)


def test_sorted_by_what_one_asks_for(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    outputs.run("b", keys={}, date="2030-01-01T00:00:00+00:00", metrics=metrics(0.5, 9.0))
    outputs.run("c", keys={}, date="2030-01-03T00:00:00+00:00", metrics=metrics(0.9, 7.0), filler="x" * 5000)
    outputs.run("a", keys={}, date="2030-01-02T00:00:00+00:00")
    assert names(listed(outputs, capsys)) == ["c", "a", "b"]
    assert names(listed(outputs, capsys, "--sort", "name")) == ["a", "b", "c"]
    assert names(listed(outputs, capsys, "--sort", "size"))[0] == "c"
    assert names(listed(outputs, capsys, "--sort", "sam/dsc")) == ["c", "b", "a"]
    assert names(listed(outputs, capsys, "--sort", "sam/hd95_px")) == ["c", "b", "a"]
    assert names(listed(outputs, capsys, "--sort", "coarse/dsc", "--first", "1")) == ["c"]
    assert names(listed(outputs, capsys, "--name", "runs/b")) == ["b"]
    assert names(listed(outputs, capsys, "--status", "failed")) == []
    said = refusal(capsys, ["runs", "outputs", "--sort", "nothing/here"])
    assert re.search(r"no run has nothing/here; sort by .* coarse/dsc, sam/dsc", said)


def test_a_table_for_people(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    outputs.run("[x]", keys={}, metrics=metrics(0.8), date="2030-01-01T00:00:00+00:00")
    with pytest.raises(ValueError, match="bad"), alive(outputs.run("b")):
        raise ValueError("bad [layer]")
    main(["runs", "outputs"])
    said = capsys.readouterr().out
    assert "runs/[x]" in said
    assert "sam/dsc 0.800, sam/hd95_px 3.000" in said
    assert "bad [layer]" in said
    assert "2 runs and sweeps" in said


def test_runs_of_every_kind_and_every_broken_file_are_listed(outputs: Outputs, capsys) -> None:
    outputs.run("odd", keys={}, metrics=[1], tuning="x", date=7)
    best = {"values": {}, "score": score(0.3), "error": None}
    outputs.run("tuned", keys={}, tuning={"metric": "coarse/dsc", "best": best})
    (outputs.run("broken") / "job_status.json").write_text("{")
    found = {run["name"]: run for run in listed(outputs, capsys)}
    assert found["runs/tuned"]["metrics"] == {"tune/coarse/dsc": 0.3}
    assert found["runs/odd"]["status"] == "done"
    assert found["runs/broken"]["status"] == "unreadable"


def test_space_by_stage_and_by_run(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    shared = outputs.result("saliency", 1)
    own = outputs.result("coarse_mask", 2, parents={"saliency": 1})
    outputs.result("saliency", 3)
    a = outputs.run("a", keys={"coarse_mask": 2})
    outputs.run("b", keys={"saliency": 1})
    assert main(["du", "outputs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    sizes = {folder: extent(folder).bytes for folder in (shared, own, a)}
    assert [(stage["name"], stage["count"], stage["bytes"]) for stage in found["stages"]] == [
        ("saliency", 2, 2 * sizes[shared]),
        ("coarse_mask", 1, sizes[own]),
    ]
    assert [stage["unneeded_bytes"] for stage in found["stages"]] == [sizes[shared], 0]
    [run] = [run for run in found["runs"] if run["name"] == "runs/a"]
    assert run["own_bytes"] == sizes[a]
    assert run["used_bytes"] == sizes[shared] + sizes[own]
    assert run["alone_bytes"] == sizes[own]
    main(["du", "outputs"])
    assert "not needed" in capsys.readouterr().out


def test_a_file_with_two_names_counts_once_and_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"x" * 100)
    (tmp_path / "a" / "y").hardlink_to(tmp_path / "a" / "x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "big").write_bytes(b"x" * 9999)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    assert extent(tmp_path / "a").bytes < 1000
    assert extent(tmp_path, without=tmp_path / "b").bytes < 1000
    assert extent(tmp_path / "none").bytes == 0


def test_keys_are_what_the_tests_think() -> None:
    assert len(key(7)) == 16
