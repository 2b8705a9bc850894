"""A copy of a dataset in which images are so small that a network sees all of one in a patch."""

from pathlib import Path

import numpy as np
from PIL import Image

from medsam_exp.types import Dataset

SIDE = 48
"""Pixels of the longer side."""


def write_small_copy(dataset: Dataset, folder: Path, split: str) -> list[str]:
    """Write FOLDER/SPLIT_images and FOLDER/SPLIT_masks; a pixel of a mask is foreground where half of it was.

    Args:
        dataset: with true masks.
        folder: receives the files.
        split: of the copy, which may hold several of the dataset's.

    Returns:
        Ids of the images.
    """
    for kind in ("images", "masks"):
        (folder / f"{split}_{kind}").mkdir(parents=True, exist_ok=True)
    for sample in dataset.samples:
        pixels, truth = dataset.read_image(sample.id), dataset.read_ground_truth(sample.id)
        height, width = truth.shape
        share = SIDE / max(height, width)
        size = max(1, round(width * share)), max(1, round(height * share))
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
        mask = Image.fromarray(truth.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        image.save(folder / f"{split}_images" / f"{sample.id}.png")
        shown = (np.asarray(mask) >= 128).astype(np.uint8) * 255
        Image.fromarray(shown).save(folder / f"{split}_masks" / f"{sample.id}.png")
    return [sample.id for sample in dataset.samples]
