"""Tells whether the outline of a mask is drawn into its image: then the image gives the answer away."""

import numpy as np

from medsam_exp.curation.quality.sliding_extrema import highest, lowest
from medsam_exp.types import Mask, RGBImage

_FEWEST = 24  # pixels of an outline that can be judged
_MARGIN = 12  # pixels around the mask that are compared
_COLOURED = 80  # of 255: between the strongest and the weakest channel of a drawn line
_BRIGHT, _UNEVEN = (
    230,
    10,
)  # of 255: of a drawn line on gray, and its standard deviation at most; rims of tumours vary
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
    along = highest(border, 5)
    if white[along].any() and image[along & white].std() > _UNEVEN:
        white[:] = False
    return any(_follows(line, border, mask) for line in (drawn, white))


def _follows(line: Mask, border: Mask, inside: Mask) -> bool:
    """Whether a line is along the border, and neither inside of it nor outside, as a bright object would be."""
    if not line.any() or highest(line, 5)[border].mean() < _ALONG:
        return False
    away = ~highest(border, 9)
    places = [away & inside, away & ~inside]
    return all(place.sum() >= _FEWEST and line[place].mean() <= _BESIDE for place in places)
