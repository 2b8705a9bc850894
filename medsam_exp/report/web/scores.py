"""Scores and texts by image, as the scripts of a page read them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medsam_exp.metrics.measures import ALL_MEASURES, measure_label
from medsam_exp.stages.pipeline import stage_place, stage_title

_DIGITS = 4


def run_data(label: str, keys: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page of a single run draws its plots and its browser from, JSON-able.

    Args:
        label: of the run.
        keys: of its artifacts, by stage.
        rows: those of per_image.csv, one per image and stage.

    Returns:
        As the page of a sweep has it, with a single job: `images`, `texts`, `jobs`, and the labels of `scores`
        ("stage/measure"), `measures` and `stages` by name.
    """
    ids = list(dict.fromkeys(row["id"] for row in rows))
    by_stage: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_stage.setdefault(row["stage"], {})[row["id"]] = row
    stages = sorted(by_stage, key=stage_place)
    scores = {}
    for stage in stages:
        found = [by_stage[stage].get(name, {}) for name in ids]
        used = {key for row in found for key in row}
        for measure in filter(used.__contains__, ALL_MEASURES):
            values = [rounded(row.get(measure)) for row in found]
            if any(value is not None for value in values):
                scores[f"{stage}/{measure}"] = values
    texts, (own_texts,) = interned([{row["id"]: row["text"] for row in rows}], ids)
    labels = {name: name.split("/") for name in scores}
    return {
        "images": ids,
        "texts": texts,
        "scores": {n: f"{stage_title(s)}, {measure_label(m)}" for n, (s, m) in labels.items()},
        "measures": {m: measure_label(m) for m in ALL_MEASURES if any(n.endswith(f"/{m}") for n in scores)},
        "stages": {s: stage_title(s) for s in stages if any(n.startswith(f"{s}/") for n in scores)},
        "jobs": [{"label": label, "drawn": dict(keys), "scores": scores, "texts": own_texts}],
    }


def interned(
    texts: Sequence[Mapping[str, str]], ids: Sequence[str]
) -> tuple[list[str], list[list[int | None]]]:
    """Say each text once.

    Args:
        texts: of each run, by image.
        ids: of the images.

    Returns:
        All texts, and for each run and image its text's place among them, None without a text.
    """
    places: dict[str, int] = {}
    found = [
        [places.setdefault(own[name], len(places)) if own.get(name) else None for name in ids]
        for own in texts
    ]
    return list(places), found


def rounded(value: Any) -> float | None:
    """A score for the page; None where there is none."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(float(value), _DIGITS)
