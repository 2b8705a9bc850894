"""The table of images at W&B: texts, all scores, and the worst images with their masks laid over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from medsam_exp.report.results import RunResults
from medsam_exp.types import Mask, RGBImage

if TYPE_CHECKING:
    import wandb

MOST_ROWS = 10_000
"""W&B's page is slow beyond; `per_image.csv`, which is sent as well, has all."""
_CLASSES = {"prediction": 1, "ground truth": 2, "coarse": 3}
"""Class number of each mask; numbers of their own give colours of their own."""


def per_image_table(results: RunResults, images: int, longest_side: int) -> wandb.Table:
    """One row per image, the worst first and at most `MOST_ROWS`; the first `images` rows have a picture with masks.

    Args:
        results: a finished run.
        images: how many pictures, >= 0.
        longest_side: of a picture in pixels; larger ones are made smaller.
    """
    import wandb

    rows = _rows_by_image(results.rows)
    measures = sorted({name for row in rows.values() for name in row} - {"id", "text"})
    table = wandb.Table(columns=["id", "text", "image", *measures])
    for place, sample_id in enumerate(_worst_first(rows)[:MOST_ROWS]):
        row = rows[sample_id]
        picture = _picture(results, sample_id, longest_side) if place < images else None
        table.add_data(sample_id, row["text"], picture, *(row.get(name) for name in measures))
    return table


def _rows_by_image(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One row per image from those of per_image.csv (one per image and stage); scores as "stage/measure"."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = found.setdefault(row["id"], {"id": row["id"], "text": row["text"]})
        own |= {
            f"{row['stage']}/{name}": value
            for name, value in row.items()
            if name not in ("id", "text", "stage", "image_id", "patient", "tokens", "context")
        }
    return found


def _worst_first(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ids by the Dice score of the last stage that has one, lowest first; ids without a score last."""
    scored = [name for row in rows.values() for name in row if name.endswith("/dsc")]
    final = scored[-1] if scored else ""

    def score(sample_id: str) -> tuple[float, str]:
        value = rows[sample_id].get(final, math.inf)
        return (value if math.isfinite(value) else math.inf, sample_id)

    return sorted(rows, key=score)


def _picture(results: RunResults, sample_id: str, longest_side: int) -> wandb.Image:
    import wandb

    image, masks = results.image_and_masks(sample_id)
    return wandb.Image(
        _shrunk(image, longest_side, Image.Resampling.LANCZOS),
        caption=" | ".join(results.texts[sample_id]),
        masks={name: _layer(name, mask, longest_side) for name, mask in masks.items()},
        classes=[{"id": number, "name": name} for name, number in _CLASSES.items()],
        file_type="jpg",
    )


def _layer(name: str, mask: Mask, longest_side: int) -> dict[str, Any]:
    pixels = mask.astype(np.uint8) * np.uint8(_CLASSES[name])
    return {
        "mask_data": _shrunk(pixels, longest_side, Image.Resampling.NEAREST),
        "class_labels": {_CLASSES[name]: name},
    }


def _shrunk(pixels: RGBImage, longest_side: int, method: Image.Resampling) -> RGBImage:
    """An (H, W) or (H, W, 3) uint8 array with at most `longest_side` pixels on its longer side."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((longest_side, longest_side), method, reducing_gap=None)
    return np.asarray(picture)
