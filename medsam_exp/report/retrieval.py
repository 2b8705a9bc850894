"""A run's retrieval figures as readers know them, the same on the console and in the report."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsam_exp.metrics.measures import Cell, number, score_cell

RETRIEVAL = "retrieval/"
"""Names of the figures in summary.json begin so."""
DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}
_LABELS = {"top": "top-{} of a batch", "recall": "recall@{} of all"}
_DECIMALS = 2  # of per cent, as in the paper


@dataclass(frozen=True)
class RetrievalLine:
    """One measure in all directions.

    Attributes:
        label: the measure for readers.
        cells: per cent, one for each of `DIRECTIONS`.
        chance: per cent, what guessing reaches.
    """

    label: str
    cells: list[Cell]
    chance: str


def retrieval_lines(metrics: Mapping[str, Any]) -> list[RetrievalLine]:
    """The retrieval figures among a run's metrics, fewest places first, batches before the whole; may be empty."""
    lines = []
    for kind, label in _LABELS.items():
        found = {int(match[1]) for name in metrics if (match := re.match(rf"{RETRIEVAL}{kind}(\d+)_", name))}
        for k in sorted(found):
            scores = [metrics.get(f"{RETRIEVAL}{kind}{k}_{direction}") for direction in DIRECTIONS]
            chance = next((number(100 * score["chance"], _DECIMALS) for score in scores if score), "")
            lines.append(RetrievalLine(label.format(k), [_percent(score) for score in scores], chance))
    return lines


def explanation(facts: Mapping[str, Any]) -> list[str]:
    """What the figures were measured on, in two sentences; nothing without facts.

    Args:
        facts: `retrieval` of summary.json.
    """
    if not facts:
        return []
    unit, count = (
        ("images with all their captions", facts["images"])
        if "images" in facts
        else ("pairs", facts["pairs"])
    )
    drawn = "patients" if facts.get("patients", count) < count else unit
    return [
        _any_caption(facts) if "images" in facts else _one_caption(facts),
        "Mean ± standard deviation, of a batch over shuffles, of all over pairs, "
        f"[95 % confidence interval of the mean over {drawn}].",
    ]


def _one_caption(facts: Mapping[str, Any]) -> str:
    out = (
        f", {facts['left_out']} of them left out of each shuffle, since they fill no batch"
        if facts["left_out"]
        else ""
    )
    unused = facts.get("captions_left_out", 0)
    drawn = f"; one caption an image is drawn, {unused} of {facts['captions']} are not used" if unused else ""
    return (
        f"{facts['pairs']} {facts['part']} pairs{_of_patients(facts)} with {facts['texts']} different texts, in "
        f"batches of {facts['batch_size']}, shuffled {facts['shuffles']} times{out}; pairs with the same text are each "
        f"other's right answers{drawn}."
    )


def _of_patients(facts: Mapping[str, Any]) -> str:
    return f" of {facts['patients']} patients" if "patients" in facts else ""


def _any_caption(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['images']} {facts['part']} images{_of_patients(facts)} with {facts['captions']} captions, "
        f"{facts['texts']} of them different, in batches of {facts['batch_size']} images (the last of "
        f"{facts['last_batch']}), shuffled {facts['shuffles']} times; every caption of an image is right, and none is "
        "left out."
    )


def _percent(score: Mapping[str, Any] | None) -> Cell:
    if not score:
        return score_cell(None)
    hundred = {key: 100 * score[key] for key in ("mean", "std")}
    bounds = score["ci95"] and [100 * bound for bound in score["ci95"]]
    return score_cell({**score, **hundred, "ci95": bounds}, _DECIMALS)
