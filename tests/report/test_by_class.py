from pathlib import Path
from typing import Any

from medsam_exp.report.topics.scores import _class_table
from tests.report.conftest import values
from tests.report.test_console import printed


def test_the_last_stage_is_shown_by_class(summary_by_class: dict[str, Any]) -> None:
    table = _class_table(summary_by_class)
    assert table is not None
    assert table.console == "sam, by class"
    assert [measure.name for measure in table.columns] == ["dsc", "hd95_px"]  # type: ignore[union-attr]
    assert {row.label: values(row) for row in table.rows} == {
        "benign [cyst]": ["0.711", "–"],
        "malignant": ["0.522 ± 0.022", "8.5 ± 0.0"],
    }
    assert table.total is not None
    assert values(table.total) == ["0.617 ± 0.022", "–"]


def test_a_reference_is_not_what_is_shown(summary_by_class: dict[str, Any]) -> None:
    metrics = summary_by_class["metrics"]
    table = _class_table({**summary_by_class, "metrics": {**metrics, "reference/dsc": metrics["sam/dsc"]}})
    assert table is not None
    assert table.console == "sam, by class"


def test_one_class_or_no_masks_have_no_table(
    summary: dict[str, Any], summary_by_class: dict[str, Any]
) -> None:
    assert _class_table(summary) is None
    assert _class_table({**summary_by_class, "metrics": {"saliency/peak_distance_px": {}}}) is None


def test_the_console_names_classes_as_they_are_written(
    summary_by_class: dict[str, Any], tmp_path: Path
) -> None:
    said = printed(summary_by_class, tmp_path)
    lines = [line.split() for line in said.splitlines()]
    assert ["benign", "[cyst]", "0.711", "–", "1"] in lines
    assert ["mean", "over", "classes", "0.617", "±", "0.022", "–", "3"] in lines
    assert "standard deviation of the 2 classes' means" in said


def test_many_classes_stand_in_the_report_alone(summary_by_class: dict[str, Any], tmp_path: Path) -> None:
    malignant = summary_by_class["by_class"]["malignant"]
    many = {**summary_by_class, "by_class": {f"kind{number}": malignant for number in range(11)}}
    said = printed(many, tmp_path)
    assert "kind3" not in said
    assert "0.617" in said
    assert "each of the 11 classes stands in the report" in said


def test_further_scores_have_a_table_of_their_own(summary_by_class: dict[str, Any], tmp_path: Path) -> None:
    lines = [line.split() for line in printed(summary_by_class, tmp_path).splitlines()]
    heads = [line for line in lines if line[:1] == ["stage"]]
    assert heads == [
        ["stage", "DSC", "HD95", "(px)", "n"],
        ["stage", "Precision", "NSD", "(released)", "n"],
    ]
    assert ["sam", "0.744", "±", "0.111", "0.955", "±", "0.111", "3"] in [
        [word.replace("0.022", "0.111") for word in line] for line in lines
    ]
