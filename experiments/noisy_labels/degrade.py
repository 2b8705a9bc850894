"""True masks made wrong on purpose, each by its own seed: eroded, dilated, shifted, or lost."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from medsam_exp.metrics.overlap import dice
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.types import Dataset, Mask

LOST = 0.15
"""Share of the masks that become empty; the others are eroded, dilated or shifted, each as often."""
THICKNESS = (0.2, 0.5)
"""What is taken from or added to a mask all around, in radii of a disc of its area."""
STEP = (0.3, 0.8)
"""How far a mask is shifted, in the same."""


def degraded(mask: Mask, generator: np.random.Generator) -> Mask:
    """Make a mask (H, W) wrong in one of four ways."""
    if generator.random() < LOST or not mask.any():
        return np.zeros_like(mask)
    radius = float(np.sqrt(mask.sum() / np.pi))
    way = int(generator.integers(3))
    thickness, step = generator.uniform(*THICKNESS) * radius, generator.uniform(*STEP) * radius
    angle = generator.uniform(0, 2 * np.pi)
    if way == 0:
        eroded: Mask = distance_transform_edt(mask) > thickness
        return eroded
    if way == 1:
        dilated: Mask = distance_transform_edt(~mask) <= thickness
        return dilated
    rows, columns = np.nonzero(mask)
    rows, columns = rows + round(step * np.sin(angle)), columns + round(step * np.cos(angle))
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    shifted = np.zeros_like(mask)
    shifted[rows[inside], columns[inside]] = True
    return shifted


def write_degraded(dataset: Dataset, folder: Path, opinion: str) -> list[float]:
    """Write FOLDER/SAMPLE_ID.png of every image.

    Args:
        dataset: with true masks.
        folder: receives the files.
        opinion: "first" or "second": two wrong masks of one target, drawn apart.

    Returns:
        DSC of each with the true mask.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for sample in dataset.samples:
        truth = dataset.read_ground_truth(sample.id)
        wrong = degraded(truth, numpy_generator(0, sample.id, opinion))
        Image.fromarray(wrong.astype(np.uint8) * 255).save(folder / f"{sample.id}.png")
        found.append(dice(wrong, truth))
    return found
