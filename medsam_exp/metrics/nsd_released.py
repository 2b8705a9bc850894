"""The surface Dice that the released evaluation computes: of the mask as a slab, one voxel thick.

The released code (evaluation/SurfaceDice.py, after Nikolov et al. 2018, arXiv 1809.04430) is made for volumes and is
given each 2-D mask as a volume of one slice. The slab's top and bottom, which are the mask's area, then count as
surface beside its outline: two discs of radius 50 and 40 with the same centre score 0.826 at a tolerance of 2 pixels,
though no part of their outlines is nearer than 10. Use it to compare with published numbers only; `metrics/surface.py`
has the boundary NSD.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from medsam_exp.metrics.places import bounding_box
from medsam_exp.types import Mask

_CUT_CORNER = np.sqrt(3) / 8  # triangle between the middles of a unit cube's three edges at one corner
_SLANTED = np.sqrt(2) / 2  # rectangle between two opposite sides' middle lines: 1 by sqrt(1/2)
_AROUND_CORNER = (
    0.5 + 3 * np.sqrt(3) / 8
)  # half of the top, and the trapezoid that falls off to the fourth pixel
_TOP = 1.0
_AREA_BY_PIXELS = np.array([0.0, _CUT_CORNER, _SLANTED, _AROUND_CORNER, _TOP])


def nsd_released(prediction: Mask, ground_truth: Mask, tolerance_px: float = 2.0) -> float:
    """Share of both slabs' surface that lies close to the other slab's surface.

    The slab's upper and lower half mirror each other, so one of them decides, and all distances lie in the plane.

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.
        tolerance_px: largest distance that still counts as agreement, in pixels.

    Returns:
        In [0, 1]; 1 when both masks are empty, 0 when only one is (the released code fails on an empty prediction).
    """
    if not (prediction.any() and ground_truth.any()):
        return float(not prediction.any() and not ground_truth.any())
    predicted, true = _element_areas(prediction), _element_areas(ground_truth)
    margin = math.ceil(min(tolerance_px, max(prediction.shape)))
    rows, columns = (
        slice(max(0, side.start - margin), side.stop + 1 + margin)
        for side in bounding_box(prediction | ground_truth)
    )  # beyond lies nothing within the tolerance
    near = predicted[rows, columns], true[rows, columns]
    within = sum(
        own[distance_transform_edt(other == 0) <= tolerance_px].sum() for own, other in (near, near[::-1])
    )
    return float(within / (predicted.sum() + true.sum()))


def _element_areas(mask: Mask) -> NDArray[np.float64]:
    """Surface of the slab's upper half within each 2 x 2 x 2 neighbourhood of voxels, one layer of it above the slab.

    The surface is that of marching cubes (Lorensen and Cline 1987), which runs through the middles of the edges
    between inside and outside.

    Args:
        mask: (H, W) bool; beyond its edge is outside.

    Returns:
        (H + 1, W + 1), one per corner of the pixel grid, in squared pixels; 0 where no pixel of the mask is near.
    """
    box = bounding_box(mask)
    padded = np.pad(mask[box], 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    pixels = sum(corner.astype(np.uint8) for corner in (upper_left, upper_right, lower_left, lower_right))
    opposite = (pixels == 2) & (upper_left == lower_right)
    areas = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    rows, columns = (slice(side.start, side.stop + 1) for side in box)
    areas[rows, columns] = np.where(opposite, 2 * _CUT_CORNER, _AREA_BY_PIXELS[pixels])
    return areas
