"""Own files, with every tracker."""

import csv
from pathlib import Path

import pytest

from medsam_exp.report.logger.csv import CsvTracker, final_figures
from medsam_exp.report.logger.job import TrackedRun
from medsam_exp.report.logger.tensorboard import TensorboardTracker
from medsam_exp.types import UserError


def logged(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "curves" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_step_is_a_row(tmp_path: Path) -> None:
    with CsvTracker(TrackedRun(tmp_path, "run")) as tracker:
        tracker.log({"a": 1.5})
        tracker.log({})
        tracker.log({"a": 2.5, "b": 0.25})
    assert [(row["a"], row["step"]) for row in logged(tmp_path)] == [("1.5", "1"), ("2.5", "2")]


def test_a_run_that_logs_nothing_spares_the_curves_of_its_folder(tmp_path: Path) -> None:
    with CsvTracker(TrackedRun(tmp_path, "run")) as tracker:
        tracker.log({"a": 1.5})
    with CsvTracker(TrackedRun(tmp_path, "run")):
        pass
    assert [row["a"] for row in logged(tmp_path)] == ["1.5"]


def test_final_figures_have_one_name_each() -> None:
    parts = {"mean": 0.5, "std": None, "ci95": [0.25, 0.75], "n": 3}
    assert final_figures({"metrics": {"sam/dsc": parts, "sam/iou": {"mean": 1.0, "ci95": None}}}) == {
        "sam/dsc/mean": 0.5,
        "sam/dsc/ci95/low": 0.25,
        "sam/dsc/ci95/high": 0.75,
        "sam/dsc/n": 3,
        "sam/iou/mean": 1.0,
    }
    assert final_figures({}) == {}


def test_without_tensorboard_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medsam_exp.runtime.extras.find_spec", lambda _: None)
    with pytest.raises(
        UserError, match=r"logger=tensorboard needs .*pip install 'medsam-exp\[tensorboard\]'"
    ) as caught:
        TensorboardTracker(TrackedRun(tmp_path, "run"))
    assert "\n" not in str(caught.value)


def test_tensorboard_has_every_figure(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracked = TrackedRun(tmp_path, "run", {"saliency": {"beta": 1.0}}, {"saliency": "m2ib"}, command="run.py")
    with TensorboardTracker(tracked) as tracker:
        tracker.log({"dice": 0.5})
        tracker.loggers[1].log_metrics({"train/loss": 3.0}, step=40)
        tracker.log({"dice": 0.75})
        tracker.summarise({"metrics": {"sam/dsc": {"mean": 0.625, "n": 4}}}, {})
    events = reader.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("dice")] == [(1, 0.5), (2, 0.75)]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(40, 3.0)]
    assert events.Scalars("sam/dsc/mean")[0].value == 0.625
    assert [row["dice"] for row in logged(tmp_path)] == ["0.5", "0.75"], "CSV stays"
