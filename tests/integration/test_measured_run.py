"""A run with every measure: faithfulness, words, full metrics, classes; and its comparison with another run."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from medsam_exp.cli.runner import run
from medsam_exp.report.compare import compare_runs
from tests.compose import composed
from tests.stored import stored_infos

SMALL = (
    "clip=tiny",
    "sam=tiny",
    "saliency.steps=2",
    "saliency.noise_samples=1",
    "text_saliency.steps=2",
    "text_saliency.noise_samples=1",
    "data.count=3",
    "stages=[saliency,faithfulness,text_saliency,coarse_mask,sam_mask,evaluate]",
)


def finish(folder: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    run_dir = folder / "_".join(("run", *overrides)).replace("=", "_")
    run_dir.mkdir()
    run(
        composed(*SMALL, f"paths.outputs={folder}", *overrides), run_dir, {"data": "phantom"}, list(overrides)
    )
    return run_dir, json.loads((run_dir / "summary.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return finish(tmp_path_factory.mktemp("measured"), "metrics=full")


def test_all_measures_are_in_the_summary(finished: tuple[Path, dict[str, Any]]) -> None:
    _, summary = finished
    masks = ("dsc", "iou", "nsd", "hd95_px", "precision", "recall", "specificity")
    maps = ("peak_distance_px", "roc_auc", "average_precision", "confidence_increase")
    wanted = {f"{stage}/{name}" for stage in ("coarse", "sam") for name in masks}
    wanted |= {f"saliency/{name}" for name in maps}
    assert wanted <= set(summary["metrics"])
    assert summary["metrics"]["saliency/roc_auc"]["n"] == 3


def test_classes_are_broken_down_and_declared(finished: tuple[Path, dict[str, Any]]) -> None:
    _, summary = finished
    assert len(summary["by_class"]) > 1
    means = [figures["sam/dsc"]["mean"] for figures in summary["by_class"].values()]
    assert summary["macro"]["sam/dsc"]["mean"] == pytest.approx(sum(means) / len(means))
    assert sum(figures["sam/dsc"]["n"] for figures in summary["by_class"].values()) == 3
    assert any(use.startswith("by_class:") for use in summary["ground_truth_used_for"])


def test_rows_records_and_pictures(finished: tuple[Path, dict[str, Any]]) -> None:
    run_dir, summary = finished
    with (run_dir / "per_image.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "saliency"]
    assert all(0 <= float(row["roc_auc"]) <= 1 for row in rows)
    assert {row["confidence_increase"] for row in rows} <= {"0.0", "1.0"}
    records = run_dir.parent / "artifacts" / "text_saliency" / summary["keys"]["text_saliency"]
    for info in stored_infos(records):
        (text,) = info["texts"]
        assert " ".join(text["words"]).split()[0] in text["text"]
        assert len(text["words"]) == len(text["relevance"])
    assert len(list((run_dir / "figures").glob("words_*.png"))) == 3
    report = (run_dir / "report.html").read_text()
    for words in ("Further scores of the masks", "By class: SAM mask", "Words that the image asks for"):
        assert words in report


def test_faithfulness_alone_needs_no_ground_truth(tmp_path: Path) -> None:
    _, summary = finish(tmp_path, "stages=[saliency,faithfulness]")
    assert "saliency/confidence_increase" in summary["metrics"]
    assert not [use for use in summary["ground_truth_used_for"] if use.startswith(("evaluate", "report"))]


def test_other_measures_score_the_same_masks_anew_and_runs_can_be_compared(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    run_dir, summary = finished
    other_dir, other = finish(run_dir.parent, "metrics=released")
    assert other["keys"]["faithfulness"] == summary["keys"]["faithfulness"]
    assert other["keys"]["evaluate"] != summary["keys"]["evaluate"]
    assert {"sam/nsd_released", "sam/dsc_released"} <= set(other["metrics"])
    assert compare_runs(run_dir, other_dir, "dsc")["remarks"] == [
        "A and B score every image the same, so there is nothing to test"
    ]
