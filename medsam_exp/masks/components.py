"""Connected components of a mask, as all component filters see them."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.types import Mask


def label_components(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Number the separate regions of a mask; pixels that touch at a corner belong together (8-connectivity).

    Args:
        mask: (H, W) bool.

    Returns:
        labels: (H, W) int32, 0 background, 1..count in scan order of each region's first pixel.
        count: number of regions.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    return labels.astype(np.int32, copy=False), count
