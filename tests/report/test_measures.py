import math

import pytest

from medsam_exp.metrics.measures import (
    ALL_MEASURES,
    Cell,
    Measure,
    by_patient,
    measure_label,
    number,
    score_cell,
    used_measures,
)
from medsam_exp.report.web.scores import run_data
from medsam_exp.stages.pipeline import scored_labels, stage_title


@pytest.mark.parametrize(
    ("value", "decimals", "written"),
    [
        (0.81251, 3, "0.813"),
        (12.25, 1, "12.2"),
        (0, 1, "0.0"),
        (None, 3, "–"),
        (math.nan, 3, "–"),
        ("", 3, "–"),
    ],
)
def test_number(value: object, decimals: int, written: str) -> None:
    assert number(value, decimals) == written


def test_cell_says_spread_interval_and_count() -> None:
    score = {"mean": 0.5, "std": 0.25, "ci95": [0.375, 0.625], "n": 8}
    assert score_cell(score, 2) == Cell("0.50 ± 0.25", "[0.38, 0.62]", "8")
    assert score_cell(None) == Cell("–", "", "")


def test_stages_come_in_the_order_of_the_pipeline_and_only_with_mask_scores() -> None:
    metrics = dict.fromkeys(["weak_label/dsc", "sam/iou", "saliency/peak_distance_px", "coarse/dsc"])
    assert scored_labels(metrics) == ["coarse", "sam", "weak_label"]
    assert stage_title("weak_label") == "Weak label"


def test_measures_come_in_table_order() -> None:
    names = [measure.name for measure in used_measures(["sam/hd95_px", "coarse/dsc", "presence"])]
    assert names == ["dsc", "hd95_px"]


def test_a_cell_counts_patients_where_they_are_known() -> None:
    score = {"mean": 0.5, "std": 0.25, "ci95": None, "n": 8, "patients": 3}
    assert score_cell(score, 2) == Cell("0.50 ± 0.25", "–", "8 (3 patients)")
    assert by_patient(score)
    assert not by_patient({"n": 8})
    assert not by_patient({"n": 8, "patients": 8})


def test_one_image_has_neither_spread_nor_interval_even_in_a_run_of_old() -> None:
    assert score_cell({"mean": 0.5, "std": 0.0, "ci95": None, "n": 1}, 2) == Cell("0.50", "–", "1")
    assert score_cell({"mean": 0.5, "std": 0.0, "ci95": [0.5, 0.5], "n": 1}, 2) == Cell("0.50", "–", "1")


def test_a_measure_that_was_registered_just_now_has_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_label("own") == "own"
    monkeypatch.setitem(ALL_MEASURES, "own", Measure("own", "Our own"))
    assert measure_label("own") == "Our own"
    data = run_data("run", {}, [{"id": "a", "text": "", "stage": "sam", "own": 0.5}])
    assert data["scores"] == {"sam/own": "SAM mask, Our own"}
