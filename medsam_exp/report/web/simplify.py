"""Lines of fewer points: Douglas and Peucker's algorithm on many lines at once.

Libraries take one line at a time and one point after the other, which for the hundred outlines of a rough mask takes
twenty times as long.
"""

import numpy as np
from numpy.typing import NDArray


def kept_points(
    points: NDArray[np.float64], lengths: NDArray[np.intp], tolerance: float
) -> NDArray[np.bool_]:
    """Which points of lines stay, so that no other one is farther from its simplified line than the tolerance.

    Args:
        points: (n, 2) of all lines, one line after the other.
        lengths: (m,) number of points of each line, >= 1.
        tolerance: > 0, in the unit of the points.

    Returns:
        (n,) true for those that stay; the first and the last of each line are among them.
    """
    ends = np.cumsum(lengths)
    first, last = ends - lengths, ends - 1
    kept = np.zeros(len(points), bool)
    kept[first] = kept[last] = True
    while (inner := last - first > 1).any():
        first, last = first[inner], last[inner]
        counts = last - first - 1
        begin = np.cumsum(counts) - counts
        piece = np.repeat(np.arange(len(first)), counts)
        place = np.arange(len(piece)) - begin[piece] + first[piece] + 1
        chord, offset = points[last] - points[first], points[place] - points[first][piece]
        squared = np.maximum((chord**2).sum(1), np.finfo(float).tiny)
        along = np.clip((offset * chord[piece]).sum(1) / squared[piece], 0, 1)
        distance = np.hypot(*(offset - along[:, None] * chord[piece]).T)
        farthest = np.maximum.reduceat(distance, begin)
        at_farthest = np.flatnonzero(distance == farthest[piece])
        middle = place[at_farthest[np.searchsorted(at_farthest, begin)]]  # the first of several
        split = farthest > tolerance
        kept[middle[split]] = True
        first, last = np.append(first[split], middle[split]), np.append(middle[split], last[split])
    return kept
