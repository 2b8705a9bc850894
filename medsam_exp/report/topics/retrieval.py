"""Retrieval of texts by image and of images by text."""

import re
from collections.abc import Mapping
from typing import Any

from medsam_exp.engine.engine import Engine
from medsam_exp.metrics.measures import number, scaled, score_cell
from medsam_exp.report.section import Part, Row, Section, Table

RETRIEVAL = "retrieval/"
"""Names of the figures in summary.json begin so."""
DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}
_LABELS = {"top": "top-{} of a batch", "recall": "recall@{} of all"}
_DECIMALS = 2  # of per cent, as in the paper


def retrieval_section(summary: Mapping[str, Any]) -> Section | None:
    """Hits in per cent with their chance, and what they were measured on; None for another run."""
    rows = _retrieval_rows(summary["metrics"])
    if not rows:
        return None
    hints = _explanation(summary["retrieval"])
    columns = [direction.capitalize() for direction in DIRECTIONS.values()]
    table = Table("Retrieval", "Right one found, in %", columns, rows, last="Chance", console="retrieval, %")
    part = Part(table=table, hints=hints, console=[("", said) for said in hints])
    return Section("retrieval", "Retrieval", [part])


def _retrieval_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Hits in per cent and their chance, fewest places first, batches before the whole."""
    rows = []
    for kind, label in _LABELS.items():
        found = {int(match[1]) for name in metrics if (match := re.match(rf"{RETRIEVAL}{kind}(\d+)_", name))}
        for k in sorted(found):
            scores = [metrics.get(f"{RETRIEVAL}{kind}{k}_{direction}") for direction in DIRECTIONS]
            chance = next((number(100 * score["chance"], _DECIMALS) for score in scores if score), "")
            cells = [score_cell(score and scaled(score, 100), _DECIMALS) for score in scores]
            rows.append(Row(label.format(k), cells, chance))
    return rows


def retrieval_results(engine: Engine) -> dict[str, dict[str, Any]]:
    """What the retrieval stage found: `metrics` as "retrieval/measure", and `facts`, what they were measured on."""
    if "retrieval" not in engine.artifacts:
        return {"metrics": {}, "facts": {}}
    record = engine.artifacts["retrieval"].info("all")
    return {
        "metrics": {f"{RETRIEVAL}{name}": figure for name, figure in record["figures"].items()},
        "facts": record["facts"],
    }


def _explanation(facts: Mapping[str, Any]) -> list[str]:
    """What the figures were measured on, in two sentences."""
    if not facts:
        return []
    if "images" in facts:
        count, drawn, measured_on = facts["images"], "images with all their captions", _any_caption(facts)
    else:
        count, drawn, measured_on = facts["pairs"], "pairs", _one_caption(facts)
    if facts.get("patients", count) < count:
        drawn = "patients"
    return [
        measured_on,
        "Mean ± standard deviation, of a batch over shuffles, of all over pairs, "
        f"[95 % confidence interval of the mean over {drawn}].",
    ]


def _one_caption(facts: Mapping[str, Any]) -> str:
    left = facts["left_out"]
    out = f", {left} of them left out of each shuffle, since they fill no batch" if left else ""
    unused = facts.get("captions_left_out", 0)
    drawn = f"; one caption an image is drawn, {unused} of {facts['captions']} are not used" if unused else ""
    return (
        f"{facts['pairs']} {facts['part']} pairs{_of_patients(facts)} with {facts['texts']} different texts, in "
        f"batches of {facts['batch_size']}, shuffled {facts['shuffles']} times{out}; pairs with the same text are each "
        f"other's right answers{drawn}."
    )


def _any_caption(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['images']} {facts['part']} images{_of_patients(facts)} with {facts['captions']} captions, "
        f"{facts['texts']} of them different, in batches of {facts['batch_size']} images (the last of "
        f"{facts['last_batch']}), shuffled {facts['shuffles']} times; every caption of an image is right, and none is "
        "left out."
    )


def _of_patients(facts: Mapping[str, Any]) -> str:
    return f" of {facts['patients']} patients" if "patients" in facts else ""
