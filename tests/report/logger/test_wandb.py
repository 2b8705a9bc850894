"""W&B, offline: everything is kept and read back by its own reader; every end is an end."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medsam_exp.report.logger import image_table
from medsam_exp.report.logger.image_table import _rows_by_image, _shrunk, _worst_first
from medsam_exp.report.logger.job import SweepJob, TrackedRun
from medsam_exp.report.logger.sync import wandb_runs
from medsam_exp.report.logger.wandb import WandbTracker
from medsam_exp.report.results import RunResults
from medsam_exp.runtime.artifacts import StageArtifacts
from tests.compose import CONF
from tests.report.logger import offline


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SWEEP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_names_figures_and_curves_are_kept(tmp_path: Path) -> None:
    tracked = TrackedRun(
        tmp_path,
        "run",
        {"seed": 7, "saliency": {"beta": 0.5}},
        {"saliency": "m2ib", "data": "busi"},
        ("saliency", "evaluate"),
        "python run.py saliency=m2ib",
        SweepJob("3f9a", {"saliency": "m2ib", "seed": "7"}),
    )
    with WandbTracker(tracked, tags=["mine"]) as tracker:
        tracker.log({"live/dice": 0.5})
        tracker.loggers[1].log_metrics({"train/loss": 3.0}, step=40)  # as a Trainer does
        tracker.log({"live/dice": 0.75})
        tracker.summarise({"metrics": {"sam/dsc": {"mean": 0.625, "ci95": [0.5, 0.75], "n": 4}}}, {})
    found = offline.records(tmp_path)
    (run,) = offline.of_kind(found, "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == (
        "busi-m2ib-7",
        "3f9a",
        "evaluate",
    )
    assert (run["project"], run["notes"]) == ("medsam_exp", "python run.py saliency=m2ib")
    assert set(run["tags"]) == {"busi", "m2ib", "mine"}
    config = run["config"]["update"]
    assert {key: config[key] for key in config if key != "_wandb"} == {
        "seed": 7,
        "saliency": "m2ib",
        "saliency/beta": 0.5,
        "data": "busi",
    }
    history = [record["item"] for record in offline.of_kind(found, "history")]
    assert [row["live/dice"] for row in history if "live/dice" in row] == [0.5, 0.75], "no step is dropped"
    assert [(row["train/loss"], row["trainer/global_step"]) for row in history if "train/loss" in row] == [
        (3, 40)
    ]
    final = offline.final(found)
    assert [final[f"sam/dsc/{part}"] for part in ("mean", "ci95/low", "ci95/high", "n")] == [
        0.625,
        0.5,
        0.75,
        4,
    ]
    assert offline.exit_code(found) == 0


def test_configuration_and_summary_say_how_masks_are_supervised(tmp_path: Path) -> None:
    summary = {"metrics": {}, "supervision": {"sam": {"mark": "supervised", "because": ["SAM saw masks"]}}}
    with WandbTracker(TrackedRun(tmp_path, "run")) as tracker:
        tracker.summarise(summary, {})
    found = offline.records(tmp_path)
    updates = [record["update"] for record in offline.of_kind(found, "config")]
    assert {"supervision/sam": "supervised"} in updates
    assert offline.final(found)["supervision/sam"] == "supervised"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failed_run_is_finished_and_the_next_is_another(tmp_path: Path, error: type[BaseException]) -> None:
    import wandb

    def fail() -> None:
        with WandbTracker(TrackedRun(tmp_path / "first", "run")) as tracker:
            tracker.log({"a": 1.0})
            raise error("the run's own")

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with pytest.raises(error, match="the run's own"):
        fail()
    assert wandb.run is None
    with WandbTracker(TrackedRun(tmp_path / "second", "run")) as tracker:
        tracker.log({"a": 1.0})
    first, second = (offline.records(tmp_path / name) for name in ("first", "second"))
    assert offline.exit_code(first) == 1
    assert offline.exit_code(second) == 0
    ids = {offline.of_kind(found, "run")[0]["run_id"] for found in (first, second)}
    assert len(ids) == 2
    assert set(wandb_runs(tmp_path).values()) == {"unsent"}


def test_what_waits_to_be_sent_lies_in_the_runs_folder(tmp_path: Path) -> None:
    results = phantom_results()
    with WandbTracker(TrackedRun(tmp_path, "run"), images=2, longest_side=16) as tracker:
        (tmp_path / "report.html").write_text("<p>the report</p>")
        (tmp_path / "summary.json").write_text("{}")
        (tmp_path / "per_image.csv").write_text("id\n")
        (tmp_path / "masks").mkdir()
        Image.new("L", (4, 4)).save(tmp_path / "masks" / "a.png")
        tracker._log_masks = True
        tracker.summarise({"metrics": {}}, {}, results)
    found = offline.records(tmp_path)
    final = offline.final(found)
    files = offline.logs(tmp_path)[0].parent / "files"
    assert (files / final["report.path"]).read_text() == "<p>the report</p>"
    assert (files / "summary.json").is_file()
    assert (files / "per_image.csv").is_file()
    stored = {artifact["type"]: artifact for artifact in offline.of_kind(found, "artifact")}
    assert set(stored) == {"run_table", "masks"}
    contents = {
        item["path"]: Path(item["local_path"]) for item in stored["run_table"]["manifest"]["contents"]
    }
    assert all(path.is_relative_to(tmp_path) and path.is_file() for path in contents.values())
    table = json.loads(contents["per_image.table.json"].read_text())
    assert table["columns"] == ["id", "text", "image", "sam/dsc", "sam/iou"]
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert list(rows) == ["b", "a", "c"], "worst first"
    assert (rows["b"]["sam/dsc"], rows["b"]["text"], rows["c"]["image"]) == (0.25, "text of b", None)
    picture = rows["b"]["image"]
    assert (picture["width"], picture["height"]) == (16, 8)
    assert set(picture["masks"]) == {"prediction", "coarse", "ground truth"}
    mask = np.asarray(Image.open(contents[picture["masks"]["prediction"]["path"]]))
    assert mask.shape == (8, 16)
    assert set(np.unique(mask)) == {0, 1}
    classes = json.loads(contents[picture["classes"]["path"]].read_text())["class_set"]
    assert {item["id"]: item["name"] for item in classes} == {1: "prediction", 2: "ground truth", 3: "coarse"}
    forgotten = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.suffix != ".log"]
    assert not forgotten, "nothing lies where it would be left behind"


def test_without_images_no_pixel_waits_to_be_sent(tmp_path: Path) -> None:
    with WandbTracker(TrackedRun(tmp_path, "run"), images=0) as tracker:
        (tmp_path / "report.html").write_text('<img src="data:image/png;base64,AAAA">')
        (tmp_path / "summary.json").write_text("{}")
        (tmp_path / "masks").mkdir()
        Image.new("L", (4, 4)).save(tmp_path / "masks" / "a.png")
        tracker.summarise({"metrics": {}}, {}, phantom_results())
    assert "report.path" not in offline.final(offline.records(tmp_path))
    kept = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert any(path.name == "summary.json" for path in kept)
    assert any(path.name.endswith(".table.json") for path in kept), "scores go without pictures"
    assert not [path for path in kept if path.suffix in (".html", ".png", ".jpg")]
    assert not [path for path in kept if b"data:image" in path.read_bytes()]


def phantom_results() -> RunResults:
    """Three images of 32 x 64 pixels with masks, as a run leaves them."""
    half = np.zeros((32, 64), bool)
    half[:, :20] = True
    made = SimpleNamespace(mask=lambda _: half)
    engine: Any = SimpleNamespace(
        artifacts={"coarse_mask": made, "sam_mask": made, "evaluate": made},
        plan=SimpleNamespace(read_image=lambda _: np.full((32, 64, 3), 128, np.uint8)),
    )
    dataset: Any = SimpleNamespace(read_ground_truth=lambda _: half)
    scores = {"a": 0.5, "b": 0.25, "c": 0.75}
    rows = [
        {"id": key, "text": f"text of {key}", "stage": "sam", "dsc": dsc, "iou": dsc / 2}
        for key, dsc in scores.items()
    ]
    return RunResults(None, engine, dataset, {key: (f"text of {key}",) for key in scores}, rows, {})  # type: ignore[arg-type]


def test_trained_networks_are_kept_by_their_stages_keys_and_stay_where_they_are(tmp_path: Path) -> None:
    stored = {
        stage: StageArtifacts(tmp_path / "artifacts", stage, key, {"all": "0" * 64})
        for stage, key in {"finetune_clip": "a" * 16, "train_sam": "b" * 16, "saliency": "c" * 16}.items()
    }
    clip = stored["finetune_clip"].folder / "clip" / "open_clip_model.safetensors"
    sam = stored["train_sam"].folder / "sam.safetensors"
    for path in (clip, sam):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    stored["finetune_clip"].save("all", {"results": "clip"})
    stored["train_sam"].save("all", {"results": "sam.safetensors"})
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with WandbTracker(TrackedRun(run_dir, "run"), log_weights=True) as tracker:
        tracker.summarise({"metrics": {}}, stored)
    kept = {artifact["name"]: artifact for artifact in offline.of_kind(offline.records(run_dir), "artifact")}
    assert {name: artifact["type"] for name, artifact in kept.items()} == {
        "finetune_clip-" + "a" * 16: "model",
        "train_sam-" + "b" * 16: "model",
    }
    for (name, artifact), path in zip(sorted(kept.items()), (clip, sam), strict=True):
        [item] = artifact["manifest"]["contents"]
        assert item["path"] == path.name
        assert Path(item["local_path"]) == path, (
            "no second copy of gigabytes; `make clean-artifacts` keeps it"
        )
        stage, _, key = name.partition("-")
        assert json.loads(artifact["metadata"]) == {"stage": stage, "key": key}


def test_the_table_has_the_worst_of_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setattr(image_table, "MOST_ROWS", 2)
    rows = [
        {"id": name, "text": "", "stage": "sam", "dsc": score}
        for name, score in zip("abcd", (0.4, 0.1, 0.3, 0.9), strict=True)
    ]
    results = RunResults(None, None, None, {}, rows, {})  # type: ignore[arg-type]  # no picture is asked for
    table = image_table.per_image_table(results, images=0, longest_side=8)
    assert [row[0] for row in table.data] == ["b", "c"]


def test_the_worst_come_first_and_those_without_a_score_last() -> None:
    rows = [
        {"id": name, "text": "", "stage": stage, "dsc": dsc}
        for stage, own in (("coarse", (0.1, 0.2, 0.3, 0.4)), ("sam", (0.9, 0.8, float("nan"), 0.8)))
        for name, dsc in zip("abcd", own, strict=True)
    ]
    assert _worst_first(_rows_by_image(rows)) == ["b", "d", "a", "c"]
    assert _worst_first(_rows_by_image([{"id": "x", "text": "", "stage": "sam"}])) == ["x"]
    assert _worst_first({}) == []


@pytest.mark.parametrize(("shape", "expected"), [((40, 20), (10, 5)), ((8, 8), (8, 8)), ((500, 1), (10, 1))])
def test_pictures_are_made_smaller_never_larger(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.full(shape, 3, np.uint8)
    small = _shrunk(pixels, 10, Image.Resampling.NEAREST)
    assert small.shape == expected
    assert set(np.unique(small)) == {3}


def test_a_service_that_breaks_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), WandbTracker(TrackedRun(tmp_path, "run")) as tracker:
        monkeypatch.setattr(tracker._wandb, "log", lambda _: 1 / 0)
        tracker.log({"a": 1.0})
        tracker.loggers[1].log_metrics({"train/loss": 1.0}, step=0)
        tracker.log({"a": 2.0})
    assert caplog.text.count("W&B stopped taking figures (ZeroDivisionError") == 1
    assert offline.exit_code(offline.records(tmp_path)) == 0, "finished all the same"


def test_a_service_that_never_begins_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def refuse(**_: object) -> None:
        raise wandb.errors.CommError("no route to host")

    monkeypatch.setattr(wandb, "init", refuse)
    with caplog.at_level(logging.WARNING), WandbTracker(TrackedRun(tmp_path, "run")) as tracker:
        tracker.log({"a": 1.0})
        tracker.summarise({"metrics": {}}, {})
    assert caplog.text.count("W&B") == 1
    assert (tmp_path / "curves" / "metrics.csv").is_file()


SLEEPER = """
import sys, time
from pathlib import Path
from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.report.logger.wandb import WandbTracker
from medsam_exp.runtime.interrupts import stops_when_asked
with stops_when_asked(), WandbTracker(TrackedRun(Path(sys.argv[1]), "run")) as tracker:
    tracker.log({"a": 1.0})
    print("ready", flush=True)
    for _ in range(1200):  # a signal that comes just before a long sleep begins is seen only after it
        time.sleep(0.1)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_process_finishes_its_run_and_asks_nothing(tmp_path: Path, stop: signal.Signals) -> None:
    """The signal goes to the whole process group, as from a terminal; standard input would answer no question."""
    reads, _writes = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path)],
        stdin=reads,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CONF.parent,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, stop)
    process.communicate(timeout=60)
    assert process.returncode == 128 + stop
    assert offline.exit_code(offline.records(tmp_path)) == 1


def test_the_tables_of_a_sweep_are_a_run_in_its_group(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>all jobs</p>")
    tracked = TrackedRun(tmp_path, "ablation (tables)", stages=("sweep",), sweep=SweepJob("3f9a", {}))
    with WandbTracker(tracked) as tracker:
        tracker.show_sweep({"sam_dsc": (["saliency", "DSC"], [["m2ib", "0.9"], ["gradcam", "0.1"]])}, report)
    found = offline.records(tmp_path)
    (run,) = offline.of_kind(found, "run")
    assert (run["run_group"], run["job_type"], run["display_name"]) == ("3f9a", "sweep", "ablation (tables)")
    (table,) = tmp_path.rglob("media/table/sweep/sam_dsc*.json")
    assert json.loads(table.read_text())["data"] == [["m2ib", "0.9"], ["gradcam", "0.1"]]
    assert any(
        file.read_text().endswith("<p>all jobs</p>") for file in tmp_path.rglob("media/html/report*.html")
    )
