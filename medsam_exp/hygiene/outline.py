"""Tells whether the outline of a mask is drawn into its image: then the image gives the answer away."""

import numpy as np

from medsam_exp.hygiene.windows import highest, lowest
from medsam_exp.types import Mask, RGBImage

_FEWEST = 24  # pixels of an outline that can be judged
_MARGIN = 12  # pixels around the mask that are compared
_COLOURED = 80  # of 255: between the strongest and the weakest channel of a drawn line
_BRIGHT = 200  # of 255: a drawn line on gray
_ALONG, _BESIDE = 0.8, 0.15  # share of the outline that a line covers, and of its surroundings at most


def outline_is_drawn(image: RGBImage, mask: Mask) -> bool:
    """Whether a coloured or white line runs along the border of the mask, and hardly anywhere beside it.

    Args:
        image: (H, W, 3), original frame.
        mask: (H, W) bool.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows) or mask.all():
        return False
    part = tuple(
        slice(max(0, int(found[0]) - _MARGIN), int(found[-1]) + _MARGIN + 1) for found in (rows, columns)
    )
    image, mask = image[part], mask[part]
    border = mask & ~lowest(mask, 3)
    if border.sum() < _FEWEST:
        return False
    drawn = (image.max(axis=-1) - image.min(axis=-1)) > _COLOURED
    white = image.min(axis=-1) > _BRIGHT
    return any(_follows(line, border) for line in (drawn, white))


def _follows(line: Mask, border: Mask) -> bool:
    if not line.any() or highest(line, 5)[border].mean() < _ALONG:
        return False
    beside = ~highest(border, 9)
    return not beside.any() or bool(line[beside].mean() <= _BESIDE)
