"""Does the text matter: a run's grounding and presence figures as readers know them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsam_exp.metrics.measures import Cell, count, interval, number, score_cell

GROUNDING, PRESENCE = "grounding/", "presence/"
"""Names of the figures in summary.json begin so."""
_TEXTS = {
    "own": "the image's own text",
    "contradictory": "contradictory text",
    "absent": "text about something absent",
    "nonsense": "nonsense",
}
COLUMNS = {
    "correlation": "Correlation with own map",
    "peak_shift_px": "Peak shift, px",
    "peak_shift_fraction": "of the diagonal, %",
    "empty": "Empty masks, %",
}
_FACTORS = {"peak_shift_fraction": 100.0, "empty": 100.0}
_DECIMALS = {"correlation": 3}


@dataclass(frozen=True)
class GroundingLine:
    """What one kind of text does to the map and the mask.

    Attributes:
        label: the text for readers.
        cells: one for each of `COLUMNS`; a dash where the own text is compared with itself.
        n: number of images.
    """

    label: str
    cells: list[Cell]
    n: str


def grounding_lines(metrics: Mapping[str, Any]) -> list[GroundingLine]:
    """The grounding figures among a run's metrics, the image's own text first; none without them."""
    lines = []
    for kind, label in _TEXTS.items():
        scores = {name: metrics.get(f"{GROUNDING}{name}_{kind}") for name in COLUMNS}
        if scores["empty"]:
            cells = [_cell(name, score) for name, score in scores.items()]
            lines.append(GroundingLine(label, cells, count(scores["empty"])))
    return lines


def presence_sentences(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """How well the presence score tells images with the target from those without, in words.

    Args:
        facts: `presence` of summary.json; empty without a presence score or without both kinds of image.
        metrics: `metrics` of summary.json.
    """
    if not facts:
        return []
    auc, ece = (metrics[f"{PRESENCE}{name}"] for name in ("auc", "ece"))
    point = f"{facts['threshold']:g} ({'the veto' if facts['vetoes'] else 'no veto in this run'})"
    return [
        f"{facts['with_target']} images with the text's target, {facts['without_target']} without: "
        f"area under the ROC curve {_interval(auc)}.",
        f"At threshold {point}: {100 * facts['sensitivity']:.0f} % of the images with the target count as such, "
        f"{100 * facts['specificity']:.0f} % of those without do not.",
        f"Expected calibration error {_interval(ece)}"
        + (
            f"; calibrated on the {facts['calibrated_on']}."
            if facts["calibrated_on"]
            else "; not calibrated."
        ),
    ]


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['mean']:.3f} {interval(figure['ci95'])}"


def _cell(name: str, score: Mapping[str, Any] | None) -> Cell:
    if not score:
        return score_cell(None)
    factor, decimals = _FACTORS.get(name, 1.0), _DECIMALS.get(name, 1)
    bounds = score["ci95"] and [factor * bound for bound in score["ci95"]]
    spread = "" if name == "empty" else f" ± {number(factor * score['std'], decimals)}"
    value = f"{number(factor * score['mean'], decimals)}{spread}"
    return Cell(value, interval(bounds, decimals), count(score))


def without(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The other metrics of a run."""
    return {name: value for name, value in metrics.items() if not name.startswith((GROUNDING, PRESENCE))}
