"""Whole searches with tiny networks of random weights: against brute force, killed, spread over two processes."""

import itertools
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.cli.runner import run
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.types import UserError
from tests.compose import composed

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "clip=tiny_random",
    "sam=tiny_scratch",
    "saliency.steps=2",
    "saliency.noise_samples=1",
    "postprocess=otsu",
]
SCANS = ["search.data.count=3", "batch_size.saliency=3"]
BETAS, BINS = [0.1, 3.0], [2, 256]
SPACE = [f"search.space.saliency.beta={BETAS}", f"+search.space.postprocess.bins={BINS}"]
TUNE = [
    *SMALL,
    "~tuned/network",
    "stages=[tune]",
    "search=phantom",
    *SCANS,
    *SPACE,
    "~search.space.saliency.layer",
]
CHOICES = {
    "data": "phantom",
    "clip": "tiny_random",
    "saliency": "m2ib",
    "postprocess": "otsu",
    "component_filter": "largest",
    "prompt": "box",
}


def execute(folder: Path, name: str, *overrides: str) -> dict[str, Any]:
    """Run in this process and return the summary."""
    run_dir = folder / name
    run_dir.mkdir(parents=True)
    given = [*overrides, f"paths.outputs={folder}", f"paths.tuned={folder}/conf/tuned"]
    run(composed(*given), run_dir, CHOICES, list(overrides))
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return summary


def test_a_search_equals_separate_runs_and_every_later_run_says_where_its_numbers_come_from(
    tmp_path: Path,
) -> None:
    summary = execute(tmp_path, "tune", *TUNE)
    separate = {}
    for beta, bins in itertools.product(BETAS, BINS):
        values = [
            f"saliency.beta={beta}",
            f"postprocess.bins={bins}",
            "data.seed=77",
            "data.count=3",
            "~tuned/network",
        ]
        alone = execute(
            tmp_path / "alone", f"{beta}_{bins}", *SMALL, *values, "stages=[saliency,coarse_mask,evaluate]"
        )
        separate[beta, bins] = alone["metrics"]["coarse/dsc"]
    found = {tuple(trial["values"].values()): trial["score"] for trial in summary["tuning"]["trials"]}
    assert found == separate
    best = max(separate, key=lambda point: separate[point]["mean"])
    assert tuple(summary["tuning"]["best"]["values"].values()) == best
    assert len({figure["mean"] for figure in separate.values()}) > 1, (
        "the scores must differ for this to mean anything"
    )
    assert summary["ground_truth_used_for"][0] == "tune: choosing numbers for later runs (phantom, seed 77)"
    assert "chosen" in (tmp_path / "tune" / "report.html").read_text()
    assert (tmp_path / "tune" / "figures" / "tuning.png").stat().st_size > 5_000

    again = execute(tmp_path, "again", *TUNE, "saliency.beta=7")
    assert again["timing"]["tune"]["cached"] == 1, "what is searched has no other value before"
    assert again["keys"] == summary["keys"]

    other_name = (
        tmp_path / "conf" / "tuned" / "phantom_train_tiny_random_m2ib.yaml"
    )  # the repository has the first
    (tmp_path / "conf" / "tuned" / "phantom_tiny_random_m2ib.yaml").rename(other_name)
    later = ["data=phantom_train", "data.count=1", f"hydra.searchpath=[file://{tmp_path}/conf]", *SMALL]
    uses = execute(tmp_path, "later", *later)["ground_truth_used_for"]
    assert f"tuned: saliency.beta={best[0]:g}, chosen with the masks of 3 images of phantom (seed 77)" in uses
    with pytest.raises(UserError, match="the images that this run would score"):
        execute(tmp_path, "refused", *later, "data.seed=77")


def test_a_failing_trial_does_not_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = Otsu.__call__

    def fails_for_few_bins(method: Otsu, *given: Any) -> Any:
        if method.bins < 10:
            raise UserError(f"cannot work with {method.bins} bins")
        return genuine(method, *given)

    monkeypatch.setattr(Otsu, "__call__", fails_for_few_bins)
    failing = [
        *SMALL,
        "~tuned/network",
        "stages=[tune]",
        "search=phantom",
        "search.data.count=1",
        "~search.space.saliency",
    ]
    summary = execute(tmp_path, "some", *failing, "+search.space.postprocess.bins=[4,64]")
    first, second = summary["tuning"]["trials"]
    assert first["error"].startswith("cannot work with 4 bins")
    assert first["score"] is None
    assert summary["tuning"]["best"] == second
    for name in ("none", "none_again"):
        with pytest.raises(UserError, match="every trial failed; the first one: cannot work with 3 bins"):
            execute(tmp_path, name, *failing, "+search.space.postprocess.bins=[3,4]")
    assert not list((tmp_path / "conf" / "tuned").rglob("*_none*"))


def test_a_refused_value_is_said_before_any_trial(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"of tune: postprocess\.bins is 1"):
        execute(tmp_path, "run", *TUNE, "search.space.postprocess.bins=[1,64]")
    assert not (tmp_path / "artifacts").exists()


def command(outputs: Path, *overrides: str) -> list[str]:
    places = [f"paths.outputs={outputs}", f"paths.tuned={outputs}/conf/tuned", f"hydra.run.dir={outputs}/run"]
    return [sys.executable, "run.py", *TUNE, *places, *overrides]


def finish(outputs: Path, *overrides: str) -> dict[str, Any]:
    """Run to the end in a process of its own and return the search's record."""
    done = subprocess.run(command(outputs, *overrides), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tuning: dict[str, Any] = json.loads((outputs / "run" / "summary.json").read_text())["tuning"]
    return {key: tuning[key] for key in ("best", "trials")}


def finished_trials(outputs: Path) -> dict[int, str]:
    """When each finished trial was completed, by its number in the study."""
    studies = list((outputs / "artifacts" / "tune").glob("*/study.db"))
    if not studies:
        return {}
    with sqlite3.connect(studies[0]) as base:
        try:
            rows = base.execute("select trial_id, datetime_complete from trials where state = 'COMPLETE'")
            return dict(rows.fetchall())
        except sqlite3.OperationalError:  # its tables are not made yet
            return {}


def test_killed_and_started_again_it_goes_on_and_two_processes_find_the_same(tmp_path: Path) -> None:
    undisturbed = finish(tmp_path / "whole")
    parts = tmp_path / "parts"
    process = subprocess.Popen(command(parts), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and len(finished_trials(parts)) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = finished_trials(parts)
    assert process.returncode == -signal.SIGKILL
    assert 2 <= len(before) < 4
    assert finish(parts) == undisturbed
    after = finished_trials(parts)
    assert len(after) == 4
    assert after.items() >= before.items(), "a finished trial was computed again"
    assert finish(tmp_path / "two", "trainer=ddp", "trainer.devices=2") == undisturbed


MANY = [
    "search.data.count=12",
    "pruner.first=4",
    "search.space.saliency.beta=[0.1,0.5,3.0]",
    "search.space.postprocess.bins=[2,3,16,256]",
]


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["wilcoxon", "median"])
def test_with_a_pruner_killed_and_two_devices_find_the_same(tmp_path: Path, pruner: str) -> None:
    options = [
        *MANY,
        f"pruner={pruner}",
        *(["pruner.p=0.3"] if pruner == "wilcoxon" else ["pruner.complete=2"]),
    ]
    undisturbed = finish(tmp_path / "whole", *options)
    stopped = [trial for trial in undisturbed["trials"] if trial["stopped"]]
    assert 0 < len(stopped) < len(undisturbed["trials"]) == 12
    assert all(trial["score"]["n"] in (4, 8) for trial in stopped)
    parts = tmp_path / "parts"
    process = subprocess.Popen(
        command(parts, *options), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and len(finished_trials(parts)) < 4:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert finish(parts, *options) == undisturbed
    assert finish(tmp_path / "two", *options, "trainer=ddp", "trainer.devices=2") == undisturbed


@pytest.mark.slow
def test_the_same_command_twice_at_once_shares_the_trials_and_finds_the_same(tmp_path: Path) -> None:
    options = [line for line in MANY if not line.startswith("pruner")]
    undisturbed = finish(tmp_path / "whole", *options)
    both = tmp_path / "both"
    places = [f"hydra.run.dir={both}/{name}" for name in ("run", "second")]
    started = [
        subprocess.Popen(
            command(both, *options, place),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in places
    ]
    said = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    records = [json.loads((both / name / "summary.json").read_text())["tuning"] for name in ("run", "second")]
    assert records[0] == records[1]
    assert {key: records[0][key] for key in undisturbed} == undisturbed
    shares = [output.count("trial        saliency") for output in said]
    assert all(shares), "one of them did nothing"
    assert sum(shares) == 12
