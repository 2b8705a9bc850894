"""Labels, comparison, uncertainty and the list to review: what the report and the console say of them."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from medsam_exp.metrics.measures import Cell
from medsam_exp.report.console import print_summary
from medsam_exp.report.figures.uncertainty import LONGER_SIDE_PX, thumbnail
from medsam_exp.report.page import write_report
from medsam_exp.report.section import Section, Table
from medsam_exp.report.topics.uncertainty import (
    _as_named,
    _calibration_rows,
    _ranking_rows,
    _uncertainty_sentences,
    review_list,
    review_rows,
)
from medsam_exp.report.topics.weak import _comparison_hints, comparison_section, labels_section

HEADINGS = ("Comparison", "Uncertainty", "Look at these first", "Labels")


def table_of(section: Section | None) -> Table:
    assert section is not None
    table = section.parts[0].table
    assert table is not None
    return table


def correlation(mean: float) -> dict[str, Any]:
    return {"mean": mean, "std": 0.1, "ci95": [mean - 0.1, mean + 0.05], "n": 3}


@pytest.fixture
def facts() -> dict[str, Any]:
    calibration = {"ece": 0.0412, "brier": 0.0523, "nll": 0.1634, "pixels": 12345}
    return {
        "members": 9,
        "threshold": 0.37,
        "temperature": 1.62,
        "several_classes": False,
        "review_by": "expected_dsc",
        "review": 2,
        "images": 3,
        "mean_risk": 0.2871,
        "oracle_aurc": 0.0912,
        "near_px": 10,
        "best_score": "disagreement",
        "chosen": {
            "data": "phantom",
            "split": "val",
            "images": 6,
            "threshold": 0.37,
            "temperature": 1.62,
            "dsc": 0.7654,
            "dsc_at_half": 0.7543,
        },
        "ranking": {
            "expected_dsc": {
                "spearman": correlation(-0.81),
                "pearson": correlation(-0.74),
                "aurc": 0.1513,
                "excess_aurc": 0.0601,
            },
            "disagreement": {
                "spearman": correlation(-0.83),
                "pearson": None,
                "aurc": 0.1411,
                "excess_aurc": 0.0499,
            },
        },
        "calibration": calibration,
        "calibrated": {**calibration, "ece": 0.0211},
    }


@pytest.fixture
def weak_summary(summary: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    compared = {
        "measure": "dsc",
        "n": 3,
        "mean_a": 0.5,
        "mean_b": 0.6,
        "difference": -0.1234,
        "ci95": [-0.2, -0.0456],
        "wilcoxon_p": 0.25,
        "t_p": None,
        "cohen_dz": -0.77,
        "rank_biserial": -1.0,
        "better": 0,
        "worse": 2,
        "remarks": ["only 2 of 3 images differ"],
    }
    labels = {
        "policy": "confident",
        "source": "zero_shot",
        "data": "phantom",
        "split": "train",
        "kept": 288,
        "dropped": {"scan_55": "the mask is empty", "scan_56": "presence 0.1 below 0.5"},
        "classes": ["target"],
        "raw_dataset": "/store/nnUNet_raw/Dataset001_P",
        "results": "/store/nnUNet_results/Dataset001_P/x",
        "folds": ["0"],
        "snapshots": [2, 4],
        "training": {"fold_0/val/pseudo_dice": 0.6789, "fold_0/train/learning_rate": 0.0777},
        "how_to_go_on": "With A=b call nnUNetv2_predict.",
    }
    return {
        **summary,
        "choices": {
            **summary["choices"],
            "weak_label": "confident",
            "nnunet": "smoke",
            "nnunet_schedule": "poly",
        },
        "metrics": summary["metrics"] | {"uncertainty/expected_dsc": {**correlation(0.71), "std": 0.123}},
        "weak_labels": {"weak_label": labels},
        "comparison": [{"a": "sam", "b": "weak", **compared}, {"a": "reference", "b": "weak", **compared}],
        "uncertainty": facts,
    }


@pytest.fixture
def weak_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    expected = {"scan_03": 0.8111, "scan_07": 0.3222, "scan_11": 0.5333}
    base = [{"id": name, "text": "a bright round lesion"} for name in expected]
    weak = [{**row, "stage": "weak", "dsc": 0.4567, "presence": 0.0} for row in base]
    doubt = [
        {**row, "stage": "uncertainty", "expected_dsc": expected[row["id"]], "disagreement": 0.1}
        for row in base
    ]
    return [*rows, *weak, *doubt]


def written(path: Path, summary: Any, rows: Any, pictures: Any) -> str:
    write_report(path, title="t", summary=summary, rows=rows, figures=pictures)
    html = path.read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_page_says_it_all(
    weak_summary: dict[str, Any], weak_rows: Any, pictures: Any, tmp_path: Path
) -> None:
    said = written(tmp_path / "report.html", weak_summary, weak_rows, pictures)
    for words in (
        *HEADINGS,
        "scan_55 the mask is empty",
        "288 of 290 images kept, 2 dropped",
        "/store/nnUNet_raw/Dataset001_P",
        "With A=b call nnUNetv2_predict.",
        "nnU-Net, ensemble − SAM mask",
        "−0.123 [−0.200, −0.046]",
        "0.2500",
        "0 / 2 / 1",
        "is above 0.37",
        "6 images of phantom, split “val”",
        "0.81 [0.76, 0.91]",
        "0.151",
        "0.287",
        "T = 1.62",
        "0.021",
        "0.710 ± 0.123",
        "weak_label confident",
        "nnunet smoke",
        "nnunet_schedule poly",
    ):
        assert words in said, words
    assert "0.078" not in said  # of a training only what says how it went


def test_the_page_of_another_run_has_none_of_it(
    summary: dict[str, Any], rows: Any, pictures: Any, tmp_path: Path
) -> None:
    said = written(tmp_path / "report.html", summary, rows, pictures)
    for words in (*HEADINGS, "nnunet", "uncertainty"):
        assert words not in said


def test_without_truth_there_is_a_list_but_no_judgement(
    weak_summary: dict[str, Any], facts: dict[str, Any], weak_rows: Any, pictures: Any, tmp_path: Path
) -> None:
    for name in ("ranking", "calibration", "calibrated", "chosen"):
        del facts[name]
    del weak_summary["comparison"]
    rows = [{key: value for key, value in row.items() if key != "dsc"} for row in weak_rows]
    said = written(tmp_path / "report.html", {**weak_summary, "metrics": {}}, rows, pictures)
    assert "Look at these first" in said
    assert "as configured" in said
    assert "Spearman" not in said
    assert "Calibration near" not in said


def test_every_number_of_the_new_tables_comes_from_the_summary(
    weak_summary: dict[str, Any], facts: dict[str, Any]
) -> None:
    def numbers(of: Any) -> set[float]:
        if isinstance(of, dict):
            return set().union(*map(numbers, of.values()))
        if isinstance(of, list):
            return set().union(set(), *map(numbers, of))
        return {float(of)} if isinstance(of, int | float) else set()

    known = numbers(weak_summary) | {facts["mean_risk"] - facts["oracle_aurc"], 1.0}  # same: 3 - 0 - 2
    rows = _ranking_rows(facts, weak_summary["metrics"]) + _calibration_rows(facts)
    rows += table_of(comparison_section(weak_summary)).rows
    cells = [row.last for row in rows]
    for cell in (cell for row in rows for cell in row.cells):
        cells += [cell] if isinstance(cell, str) else [cell.value, cell.interval]
    found = [token for cell in cells for token in re.findall(r"\d+(?:\.\d+)?", cell)]
    assert len(found) > 40
    for token in found:
        decimals = len(token.partition(".")[2])
        assert any(f"{abs(value):.{decimals}f}" == token for value in known), token


def test_the_list_is_ordered_by_the_score_of_the_configuration(
    weak_summary: dict[str, Any], weak_rows: Any
) -> None:
    lines = review_list(weak_summary, weak_rows)["lines"]
    assert [tuple(line.values()) for line in lines] == [
        ("1", "scan_07", "0.322", "0.457"),
        ("2", "scan_11", "0.533", "0.457"),
    ]
    better = [{**row, **({"dsc": 0.1} if row["id"] == "scan_03" else {})} for row in weak_rows]
    assert [line["id"] for line in review_list(weak_summary, better)["lines"]] == ["scan_07", "scan_11"]


def test_the_least_sure_come_first_equal_doubt_goes_by_id_and_a_broken_score_is_the_first() -> None:
    scores = {name: {"x": value} for name, value in {"b": 0.5, "a": 0.5, "c": float("nan"), "d": 0.9}.items()}
    for given in (scores, dict(reversed(scores.items()))):
        found = review_rows(given, "x")
        assert [(row["rank"], row["id"]) for row in found] == [(1, "c"), (2, "d"), (3, "a"), (4, "b")]
    assert review_rows({}, "x") == []


def test_a_score_of_confidence_correlates_as_it_is_named() -> None:
    turned = _as_named("expected_dsc", correlation(-0.8))
    assert turned is not None
    assert (turned["mean"], turned["ci95"]) == (0.8, pytest.approx([0.75, 0.9]))
    assert _as_named("disagreement", correlation(-0.8)) == correlation(-0.8)
    assert _as_named("expected_dsc", None) is None


def test_scores_stand_between_the_best_order_and_chance(
    weak_summary: dict[str, Any], facts: dict[str, Any]
) -> None:
    labels = [row.label for row in _ranking_rows(facts, weak_summary["metrics"])]
    assert labels == ["Best possible order", "Disagreement of the members", "Expected DSC", "Keep at random"]
    facts["ranking"]["disagreement"]["aurc"] = 0.3
    labels = [row.label for row in _ranking_rows(facts, weak_summary["metrics"])]
    assert labels[-2:] == ["Keep at random", "Disagreement of the members"]


def test_with_several_classes_no_threshold_is_spoken_of(facts: dict[str, Any]) -> None:
    said = " ".join(_uncertainty_sentences({**facts, "several_classes": True}))
    assert "largest mean probability" in said
    assert "threshold" not in said
    assert "6 images of phantom, split “val”" in said


def test_a_remark_is_said_once(weak_summary: dict[str, Any]) -> None:
    hints = _comparison_hints(weak_summary["comparison"])
    assert hints[1:] == ["Only 2 of 3 images differ."]
    assert "2 lines" in hints[0]


def test_labels_without_a_training_say_nothing_of_one(weak_summary: dict[str, Any]) -> None:
    labels = weak_summary["weak_labels"]
    del labels["weak_label"]["results"]
    section = labels_section(weak_summary)
    assert section is not None
    (part,) = section.parts
    assert len(part.sentences) == 1
    assert list(part.details[-1].entries) == ["raw dataset"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_console_says_it_in_short(weak_summary: dict[str, Any], tmp_path: Path, encoding: str) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(weak_summary, tmp_path, Console(file=file))
    file.flush()
    said = raw.getvalue().decode(encoding)
    minus = "−" if encoding == "utf-8" else "-"
    assert f"DSC {minus}0.123 [{minus}0.200, {minus}0.046], Wilcoxon p 0.2500" in said
    assert "Spearman 0.81 [0.76, 0.91]" in said
    assert "\\u" not in said


@pytest.mark.parametrize("shape", [(1, 1), (600, 20), (20, 600), (300, 400)])
@pytest.mark.parametrize("kind", ["empty", "full", "one pixel"])
def test_a_thumbnail_shows_any_mask(shape: tuple[int, int], kind: str) -> None:
    mask = np.full(shape, kind == "full")
    if kind == "one pixel":
        mask[shape[0] // 2, shape[1] // 2] = True
    drawn = np.asarray(thumbnail(np.full((*shape, 3), 90, np.uint8), mask))
    assert max(drawn.shape[:2]) == LONGER_SIDE_PX
    assert (drawn != 90).any() == mask.any()


def test_tests_by_patient_are_named_so(weak_summary: dict[str, Any], tmp_path: Path) -> None:
    first, *others = weak_summary["comparison"]
    weak_summary["comparison"] = [{**first, "n": 9, "patients": 3, "ci95": None}, *others]
    table, other = (
        table_of(comparison_section({**weak_summary, "comparison": found}))
        for found in (weak_summary["comparison"], others)
    )
    assert table.columns[2:4] == ["Wilcoxon p, by patient", "t-test p, by patient"]
    assert other.columns[2:4] == ["Wilcoxon p", "t-test p"]
    difference = table.rows[0].cells[1]
    assert isinstance(difference, Cell)
    assert (difference.interval, table.rows[0].last) == ("–", "9 images, 3 patients")
    hints = _comparison_hints(weak_summary["comparison"])
    assert "resampling patients" in hints[0]
    assert "By patient: the Wilcoxon signed-rank test changes the signs of whole patients" in hints[0]
    console = Console(file=io.StringIO(), width=150)
    print_summary(weak_summary, tmp_path, console)
    assert "Wilcoxon p by patient 0.25" in console.file.getvalue()  # type: ignore[attr-defined]


def test_no_interval_is_a_dash_in_every_section(weak_summary: dict[str, Any], tmp_path: Path) -> None:
    for figures in weak_summary["uncertainty"]["ranking"].values():
        for kind in ("spearman", "pearson"):
            if figures[kind]:
                figures[kind]["ci95"] = None
    for figure in (*weak_summary["metrics"].values(), *weak_summary["comparison"]):
        figure["ci95"] = None
    print_summary(weak_summary, tmp_path, Console(file=io.StringIO()))
    write_report(tmp_path / "r.html", title="t", summary=weak_summary, rows=[], figures=[])
    assert "None" not in re.sub(
        r"<script.*?</script>", "", (tmp_path / "r.html").read_text(), flags=re.DOTALL
    )
