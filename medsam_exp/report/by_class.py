"""The table of scores by class, the same on the console and in the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsam_exp.metrics.measures import Cell, Measure, score_cell, used_measures
from medsam_exp.stages.pipeline import scored_labels

MACRO = "mean over classes"
_ASIDE = "reference"
"""Masks so called stand beside a run's result, for comparison."""


@dataclass(frozen=True)
class ClassTable:
    """Scores of one stage's masks.

    Attributes:
        stage: "sam", the last stage that is scored and is no reference.
        measures: the columns.
        lines: class and its cells, one for each measure.
        macro: cells of the mean over classes; their spread is that of the classes' means.
    """

    stage: str
    measures: list[Measure]
    lines: dict[str, list[Cell]]
    macro: list[Cell]


def class_table(summary: Mapping[str, Any]) -> ClassTable | None:
    """Scores of the last stage's masks by class; None when there are not several classes, or no masks are scored.

    Args:
        summary: content of summary.json.
    """
    stages = scored_labels(summary["metrics"])
    if "by_class" not in summary or not stages:
        return None
    stage = next((name for name in reversed(stages) if not name.startswith(_ASIDE)), stages[-1])
    measures = used_measures(name for name in summary["metrics"] if name.startswith(f"{stage}/"))

    def cells(figures: Mapping[str, Any]) -> list[Cell]:
        return [score_cell(figures.get(f"{stage}/{m.name}"), m.decimals) for m in measures]

    lines = {class_name: cells(figures) for class_name, figures in summary["by_class"].items()}
    return ClassTable(stage, measures, lines, cells(summary["macro"]))
