"""Where the foreground of a mask is."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask


def bounding_box(mask: Mask) -> tuple[slice, slice]:
    """Smallest (rows, columns) that hold all foreground of an (H, W) mask; none of an empty one."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def places(mask: Mask) -> NDArray[np.intp]:
    """(n, 2) row and column of each foreground pixel of an (H, W) mask, in scan order: a faster `np.argwhere`."""
    return np.column_stack(np.divmod(np.flatnonzero(mask), mask.shape[1]))
