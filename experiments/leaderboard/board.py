"""The committed leaderboard: scores from expected.json, with costs in tables for its page and the reference."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from medsam_exp.metrics.measures import MISSING, interval

HERE = Path(__file__).parent
SCALE = "phantom-large"
TEXTS = ("class name", "description")
MEASURES = ("SAM DSC", "Coarse DSC")
KINDS = ("ultrasound", "MRI", "X-ray", "CT")
Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Mean, 95 % interval and n by column and measure."""


def read_scores() -> dict[str, Scores]:
    """Committed scores by row: a saliency method, or a presence score."""
    content = json.loads((HERE / "expected.json").read_text())
    rows: dict[str, Scores] = content[SCALE]["rows"]
    return rows


def mean_score(scores: Scores, text: str, measure: str) -> float:
    """Unweighted mean over the kinds of scans."""
    return mean(float(scores[f"{kind}, {text}"][measure]["mean"]) for kind in KINDS)


def markdown_tables(scores: Mapping[str, Scores], costs: Mapping[str, float]) -> str:
    """A table for each text and measure, the best first, then how well presence is told."""
    return "\n".join(_lines(scores, costs))


def _lines(scores: Mapping[str, Scores], costs: Mapping[str, float]) -> Iterator[str]:
    methods = [row for row in scores if row in costs]
    for text in TEXTS:
        for measure in MEASURES:
            yield from (f"### {measure}, text: {text}", "")
            yield f"| saliency | {' | '.join(KINDS)} | mean | s an image |"
            yield "|---" * (len(KINDS) + 3) + "|"
            for row in sorted(methods, key=lambda row: -mean_score(scores[row], text, measure)):
                cells = [_cell(scores[row][f"{kind}, {text}"][measure]) for kind in KINDS]
                shown = f"{mean_score(scores[row], text, measure):.3f}", f"{costs[row]:.3f}"
                yield f"| {' | '.join([f'`{row}`', *cells, *shown])} |"
            yield ""
    yield from ("### Area under the ROC curve of the presence score", "")
    yield f"| presence | {' | '.join(TEXTS)} |"
    yield "|---" * (len(TEXTS) + 1) + "|"
    for row in scores:
        if row not in costs:
            yield f"| {' | '.join([f'`{row}`', *(_cell(scores[row][text]['Presence AUC']) for text in TEXTS)])} |"


def _cell(figure: Mapping[str, Any]) -> str:
    bounds = interval(figure["ci95"])
    return f"{figure['mean']:.3f}" + ("" if bounds == MISSING else f" {bounds}")
