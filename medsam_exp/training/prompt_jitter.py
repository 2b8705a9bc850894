"""Imperfect visual prompts made from a true mask, as rough as those that saliency will give."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.masks.components import label_components
from medsam_exp.types import Mask

Box = NDArray[np.float32]
"""(4,) x0, y0, x1, y1 in pixels; x1 and y1 one past the last pixel."""


def random_component(mask: Mask, generator: np.random.Generator) -> Mask:
    """One connected component of a non-empty (H, W) mask, drawn with a chance proportional to its area."""
    labels, count = label_components(mask)
    if count == 1:
        return mask
    areas = np.bincount(labels.ravel())[1:]
    result: Mask = labels == 1 + generator.choice(count, p=areas / areas.sum())
    return result


def tight_box(mask: Mask) -> Box:
    """The smallest box around a non-empty (H, W) mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def filled_box(box: Box, size: tuple[int, int]) -> Mask:
    """The (H, W) mask of the pixels that a box touches."""
    inside = np.zeros(size, bool)
    inside[_touched(box)] = True
    return inside


def _touched(box: Box) -> tuple[slice, slice]:
    """Rows and columns of the pixels that a box touches."""
    x0, y0, x1, y1 = (int(value) for value in (*np.floor(box[:2]), *np.ceil(box[2:])))
    return slice(y0, y1), slice(x0, x1)


def box_iou(one: Box, other: Box) -> float:
    """Area of the intersection of two boxes over that of their union."""
    shared = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    return float(shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared))


def jittered_box(box: Box, size: tuple[int, int], smallest_iou: float, generator: np.random.Generator) -> Box:
    """A box that is shifted, stretched or loose, but still overlaps the true one.

    How rough it is varies from draw to draw, so that tight boxes are met as well; too large is met more often
    than too small, because that is how saliency errs.

    Args:
        box: the true box.
        size: (H, W) of the image, which the box never leaves.
        smallest_iou: of the jittered and the true box, in (0, 1].
        generator: decides all of it.
    """
    roughness = generator.uniform(0, 1)
    for _ in range(20):
        shift = 0.3 * roughness * generator.uniform(-1, 1, size=2)
        stretch = 2 ** (roughness * generator.uniform(-0.5, 1, size=2))
        side, centre = box[2:] - box[:2], (box[2:] + box[:2]) / 2
        low, high = (centre + side * (shift + sign * stretch / 2) for sign in (-1, 1))
        moved = np.clip(np.concatenate([low, high]), 0, [size[1], size[0]] * 2).astype(np.float32)
        if box_iou(moved, box) >= smallest_iou:
            result: Box = moved
            return result
        roughness *= 0.8
    return box


def missing_box(mask: Mask, like: Box, generator: np.random.Generator) -> Box | None:
    """A box elsewhere, which holds no object.

    Args:
        mask: (H, W) of all objects.
        like: a box whose sides it has, up to a factor of 2.
        generator: decides all of it.

    Returns:
        The box, or None when 20 draws found no free place.
    """
    height, width = mask.shape
    for _ in range(20):
        side = np.minimum((like[2:] - like[:2]) * 2 ** generator.uniform(-1, 1, size=2), [width, height])
        low = generator.uniform(0, 1, size=2) * ([width, height] - side)
        box = np.concatenate([low, low + side]).astype(np.float32)
        if not mask[_touched(box)].any():
            return box
    return None


def random_points(
    mask: Mask, box: Box, count: int, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Foreground points within a mask and background points near it.

    Args:
        mask: (H, W), where foreground points are drawn; non-empty.
        box: where background points are drawn, if it has any background.
        count: P, the most points; at least one is foreground.
        generator: decides number and place.

    Returns:
        (P, 2) x, y of pixel centres, and (P,) labels: 1 foreground, 0 background, -1 no point.
    """
    coordinates = np.zeros((count, 2), dtype=np.float32)
    labels = np.full(count, -1, dtype=np.int64)
    used = int(generator.integers(1, count + 1))
    foreground = int(generator.integers(1, used + 1)) if generator.random() < 0.5 else used
    around = filled_box(box, mask.shape) & ~mask
    for place, (region, label) in enumerate([(mask, 1)] * foreground + [(around, 0)] * (used - foreground)):
        inside = np.flatnonzero(region)
        if len(inside):
            row, column = divmod(int(generator.choice(inside)), mask.shape[1])
            coordinates[place], labels[place] = (column + 0.5, row + 0.5), label
    return coordinates, labels
