"""Distances between the outlines of two masks: normalised surface Dice and 95 % Hausdorff distance.

The outline of a 2-D mask is taken as Nikolov et al. 2018 (arXiv 1809.04430) take the surface of a 3-D one:
each 2 x 2 neighbourhood of pixels that holds both inside and outside contributes one element, at its centre,
with the length of the line that separates the two there. Where a mask meets the image's edge, its outline
runs along the edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from medsam_exp.metrics.places import bounding_box, places
from medsam_exp.types import Mask

_ROUNDING = 1 + 1e-9
"""A distance that equals the tolerance but for rounding (0.1 mm * 3 against 0.3 mm) is within it."""
_FEW = 0.1
"""Share of the pixel grid's corners up to which outlines are searched faster by a tree than by a distance transform."""
_LEAF = 48
"""Elements in a leaf of the tree: outlines that lie far apart are searched in two thirds of the time of SciPy's 10."""


@dataclass(frozen=True)
class Outline:
    """One mask's outline, as seen from the other's.

    Attributes:
        distances: (E,) from each element to the nearest element of the other outline, in the spacing's unit.
        lengths: (E,) of each element, in the spacing's unit.
    """

    distances: NDArray[np.float64]
    lengths: NDArray[np.float64]

    def percentile_distance(self, percent: float) -> float:
        """Smallest distance within which lie `percent` % of the outline's length."""
        order = np.argsort(self.distances)
        share = np.cumsum(self.lengths[order]) / self.lengths.sum()
        reached = int(np.searchsorted(share, percent / 100))
        return float(self.distances[order][min(reached, len(order) - 1)])


@dataclass(frozen=True)
class OutlineComparison:
    """How far apart two outlines are.

    Attributes:
        prediction: the predicted outline; None when either mask is empty.
        ground_truth: the true outline; None when either mask is empty.
        both_empty: whether neither mask has any pixel.
        image_diagonal: in the spacing's unit; no two outlines in the image can be further apart.
    """

    prediction: Outline | None
    ground_truth: Outline | None
    both_empty: bool
    image_diagonal: float

    def nsd(self, tolerance: float) -> float:
        """Normalised surface Dice: share of both outlines' length that lies close to the other outline.

        Args:
            tolerance: largest distance that still counts as agreement, in the spacing's unit.

        Returns:
            In [0, 1]; 1 when both masks are empty, 0 when only one is.
        """
        if self.prediction is None or self.ground_truth is None:
            return float(self.both_empty)
        outlines = (self.prediction, self.ground_truth)
        within = sum(o.lengths[o.distances <= tolerance * _ROUNDING].sum() for o in outlines)
        return float(within / sum(o.lengths.sum() for o in outlines))

    def hd95(self) -> float:
        """95th-percentile Hausdorff distance: 95 % of each outline lies at most this far from the other.

        Returns:
            The larger of the two directions, in the spacing's unit. 0 when both masks are empty; the image's
            diagonal, the largest value possible, when only one is, so that a missed lesion stays in the mean.
        """
        if self.prediction is None or self.ground_truth is None:
            return 0.0 if self.both_empty else self.image_diagonal
        return max(self.prediction.percentile_distance(95), self.ground_truth.percentile_distance(95))


def compare_outlines(
    prediction: Mask, ground_truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)
) -> OutlineComparison:
    """Measure the distances between the outlines of two masks.

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.
        spacing: (row, column) size of a pixel; its unit is the unit of all distances, 1 means pixels.
    """
    height, width = prediction.shape
    diagonal = float(np.hypot(height * spacing[0], width * spacing[1]))
    if not (prediction.any() and ground_truth.any()):
        both_empty = not (prediction.any() or ground_truth.any())
        return OutlineComparison(None, None, both_empty, diagonal)
    # Outside the box around both masks there is no outline, so nothing there can change a distance.
    box = bounding_box(prediction | ground_truth)
    predicted, true = _elements(prediction[box], spacing), _elements(ground_truth[box], spacing)
    return OutlineComparison(
        _seen_from(true, predicted, spacing), _seen_from(predicted, true, spacing), False, diagonal
    )


@dataclass(frozen=True)
class _Elements:
    """The outline of an (H, W) mask, by corners of its pixel grid.

    Attributes:
        corners: (H + 1, W + 1) bool, where an element is centred.
        centres: (E, 2) row and column of each, in scan order.
        lengths: (E,) of the elements, in the spacing's unit.
    """

    corners: Mask
    centres: NDArray[np.intp]
    lengths: NDArray[np.float64]


def _elements(mask: Mask, spacing: tuple[float, float]) -> _Elements:
    """The outline within each 2 x 2 neighbourhood of a mask.

    Args:
        mask: (H, W) bool; beyond its edge is outside.
        spacing: (row, column) size of a pixel.
    """
    padded = np.pad(mask, 1)
    quarters = (padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:])
    corners = (quarters[0] != quarters[1]) | (quarters[0] != quarters[2]) | (quarters[0] != quarters[3])
    centres = places(corners)
    pattern = sum(quarter[*centres.T].astype(np.intp) << bit for bit, quarter in enumerate(quarters))
    return _Elements(corners, centres, _lengths_by_pattern(spacing)[pattern])


def _lengths_by_pattern(spacing: tuple[float, float]) -> NDArray[np.float64]:
    """(16,) outline length by pattern; bits 0 to 3: upper left, upper right, lower left, lower right."""
    row_height, column_width = spacing
    cut_corner = 0.5 * np.hypot(row_height, column_width)
    lengths = np.full(16, cut_corner)  # one pixel differs from the other three
    lengths[[0b0000, 0b1111]] = 0.0
    lengths[[0b0011, 0b1100]] = column_width  # upper against lower row
    lengths[[0b0101, 0b1010]] = row_height  # left against right column
    lengths[[0b0110, 0b1001]] = 2 * cut_corner  # two opposite corners
    return lengths


def _seen_from(other: _Elements, own: _Elements, spacing: tuple[float, float]) -> Outline:
    """Distances in pixels are roots of whole numbers, so both ways give the same bits; in mm rounding would decide."""
    few = len(own.lengths) + len(other.lengths) < _FEW * own.corners.size
    if few and spacing == (1.0, 1.0):
        from scipy.spatial import (
            KDTree,
        )  # slow to import, and commands that score nothing need not wait for it

        distances = KDTree(other.centres, leafsize=_LEAF).query(own.centres)[0]
    else:
        distances = distance_transform_edt(~other.corners, sampling=spacing)[own.corners]
    return Outline(np.asarray(distances), own.lengths)
