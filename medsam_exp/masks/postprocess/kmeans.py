"""Two-means clustering of a saliency map, solved exactly."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, RGBImage, SaliencyMap

_BLOCK = 512
"""Values looked at together; decides the speed only."""


class KMeans:
    """Splits the pixels into a dark and a bright cluster with the least spread within; bright is foreground.

    On one-dimensional data the best two clusters are the values below and above a threshold, so the sorted
    values give it exactly: no start values, no iterations, no seed. Works on the map itself; the released
    code clusters a 256 x 256 nearest-neighbour copy of it.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import KMeans
        >>> saliency_map = np.array([[0.1, 0.2, 0.9]], np.float32)
        >>> KMeans()(saliency_map, np.zeros((1, 3, 3), np.uint8)).tolist()
        [[False, False, True]]
    """

    def __call__(self, saliency_map: SaliencyMap, image: RGBImage) -> Mask:
        """Return the brighter cluster (H, W) of a finite (H, W) map, equal values together; empty of a constant one."""
        ordered = np.sort(saliency_map, axis=None)
        if ordered[0] == ordered[-1]:
            return np.zeros(saliency_map.shape, bool)
        return saliency_map >= _two_means_threshold(ordered)


def _two_means_threshold(ordered: NDArray[np.float32]) -> np.float32:
    """Smallest value of the brighter of the two clusters with the least spread within.

    At the best split, the middle between the two means lies between the values on both sides of the split,
    or moving one of them over would be better. That middle only rises as the split moves up. So its values at
    the two ends of a block show for most blocks that the best split is not inside; the others are searched.
    The values (n,) are ascending, and at least two of them differ.
    """
    n = len(ordered)
    starts = np.arange(0, n - 1, _BLOCK)
    edges = np.append(starts, n - 1)
    sums = np.append(0.0, np.add.reduceat(ordered[:-1], starts, dtype=np.float64).cumsum())
    total = sums[-1] + ordered[-1]
    lower_mean, upper_mean = sums[1:] / edges[1:], (total - sums[1:]) / (n - edges[1:])
    middle = np.append(-np.inf, (lower_mean + upper_mean) / 2)
    possible = np.flatnonzero((ordered[starts] <= middle[1:]) & (ordered[edges[1:]] >= middle[:-1]))
    candidates = (_best_split(ordered, edges[i], edges[i + 1], sums[i], total) for i in possible)
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _best_split(
    ordered: NDArray[np.float32], start: int, stop: int, sum_before: float, total: float
) -> tuple[float, np.float32]:
    """Variance between the clusters (up to a constant) and threshold of the best split within a block."""
    n = len(ordered)
    values, following = ordered[start:stop], ordered[start + 1 : stop + 1]
    lower_count = np.arange(start + 1, stop + 1, dtype=np.float64)
    # Sum of the lower cluster after moving the overall mean to 0, where the variance between is this simple.
    lower_sum = sum_before + np.cumsum(values, dtype=np.float64) - lower_count * (total / n)
    between = lower_sum**2 / (lower_count * (n - lower_count))
    between[values == following] = -1.0
    best = between.argmax()
    return float(between[best]), following[best]
