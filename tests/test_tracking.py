"""Trackers: own files first, W&B second, and its failure never fails a run."""

import csv
import logging
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.tracking import CsvTracker, WandbTracker


def logged_to_csv(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "curves" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def wandb_records(file: Path) -> Iterator[Any]:
    """Records of W&B's transaction log: LevelDB's log format, blocks of 32 KiB after 7 bytes of header."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def finished_records(folder: Path) -> list[Any]:
    """Records of the only run below a folder; W&B's service may end its file a little after `finish` returns."""
    for _ in range(300):
        for kept in folder.glob("offline-run-*/run-*.wandb"):
            records = list(wandb_records(kept))
            if any(record.HasField("exit") for record in records):
                return records
        time.sleep(0.1)
    pytest.fail(f"W&B left no finished run: {sorted(map(str, folder.rglob('*')))}")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def test_csv_tracker_writes_each_step(tmp_path: Path) -> None:
    with CsvTracker(tmp_path, "run", {}) as tracker:
        tracker.log({"a": 1.5})
        tracker.log({})
        tracker.log({"a": 2.5, "b": 0.25})
    assert [(row["a"], row["step"]) for row in logged_to_csv(tmp_path)] == [("1.5", "1"), ("2.5", "2")]


def test_a_run_that_logs_nothing_spares_the_curves_of_its_folder(tmp_path: Path) -> None:
    with CsvTracker(tmp_path, "run", {}) as tracker:
        tracker.log({"a": 1.5})
    with CsvTracker(tmp_path, "run", {}):
        pass
    assert [row["a"] for row in logged_to_csv(tmp_path)] == ["1.5"]


def test_wandb_keeps_everything_offline(tmp_path: Path, offline: None) -> None:
    with WandbTracker(tmp_path, "a run", {"seed": 7}, group="a group") as tracker:
        tracker.log({"dice": 0.5})
        tracker.loggers[1].log_metrics({"train/loss": 3.0}, step=40)  # as a Trainer does
        tracker.log({"dice": 0.75})
        tracker.summarise({"metrics": {"sam/dsc": {"mean": 0.625, "ci95": [0.5, 0.75], "n": 4}}})
    assert [row["dice"] for row in logged_to_csv(tmp_path)] == ["0.5", "0.75"]
    records = finished_records(tmp_path / "wandb")
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.display_name, run.run_group, run.project) == ("a run", "a group", "medsam_exp")
    history = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [row["dice"] for row in history if "dice" in row] == ["0.5", "0.75"], "no step is dropped"
    assert [row["train/loss"] for row in history if "train/loss" in row] == ["3"]
    finals = {
        item.key or "/".join(item.nested_key): item.value_json
        for record in records
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert finals["sam/dsc/mean"] == "0.625"
    assert finals["sam/dsc/n"] == "4"
    assert any(record.HasField("exit") and record.exit.exit_code == 0 for record in records)


def test_a_failed_run_is_marked_and_closed(tmp_path: Path, offline: None) -> None:
    import wandb

    def fail() -> None:
        with WandbTracker(tmp_path, "run", {}) as tracker:
            tracker.log({"a": 1.0})
            raise RuntimeError("the run's own")

    with pytest.raises(RuntimeError, match="the run's own"):
        fail()
    assert wandb.run is None, "the next job of this process gets a run of its own"
    with WandbTracker(tmp_path / "next", "run", {}) as tracker:
        tracker.log({"a": 1.0})
    assert len(list((tmp_path / "next" / "wandb").glob("offline-run-*"))) == 1


def test_a_broken_service_does_not_stop_the_run(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def refuse(**_: object) -> None:
        raise wandb.errors.CommError("no route to host")

    monkeypatch.setattr(wandb, "init", refuse)
    with caplog.at_level(logging.WARNING), WandbTracker(tmp_path, "run", {}) as tracker:
        tracker.log({"a": 1.0})
        tracker.log({"a": 2.0})
    assert caplog.text.count("W&B stopped taking figures") == 1
    assert [row["a"] for row in logged_to_csv(tmp_path)] == ["1.0", "2.0"]
