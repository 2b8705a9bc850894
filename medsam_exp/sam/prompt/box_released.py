"""One box around each outline of the coarse mask, as the released code draws them."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.masks.components import regions_of
from medsam_exp.types import Mask, Prompts


class BoxPerOutline:
    """Draws a box around every outer outline; a region in another's hole has none of its own.

    To reproduce the released code only (there with `--multicontour`). Where the image ends, a box ends at the last
    pixel, not one past it, and misses the last row or column: see `released_boxes`.
    """

    gives_points: ClassVar[bool] = False

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N boxes for the N outer outlines of a (H, W) mask; none for an empty mask."""
        return Prompts(boxes_xyxy=released_boxes(coarse_mask))


def released_boxes(mask: Mask) -> NDArray[np.float32]:
    """The released code's box (N, 4) x0, y0, x1, y1 around each of the N outer outlines of a (H, W) mask.

    They are those of OpenCV's external contours, clipped to x <= W - 1 and y <= H - 1; in scan order. A region of the
    last column or row alone has a box without area.
    """
    height, width = mask.shape
    last = np.array([width, height, width - 1, height - 1], np.float32)
    return np.minimum(regions_of(ndimage.binary_fill_holes(mask)).boxes, last)
