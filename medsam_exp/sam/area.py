"""Images resized as OpenCV's `INTER_AREA` does, which some networks were trained with."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import RGBImage

Weights = NDArray[np.float64]


def resized_by_area(image: RGBImage, size: tuple[int, int]) -> RGBImage:
    """Resize an image: each pixel of a smaller one is the mean over the area that it covers.

    Larger images are interpolated between neighbours, at OpenCV's places, which are not the usual ones. OpenCV itself
    differs by one gray value in some pixels of those, for its weights are rounded.

    Args:
        image: (H, W, 3) uint8.
        size: (rows, columns) of the result.
    """
    smaller = all(old >= new for old, new in zip(image.shape, size, strict=False))
    rows, columns = (
        (_areas if smaller else _neighbours)(old, new) for old, new in zip(image.shape, size, strict=False)
    )
    pixels = rows @ np.moveaxis(image, -1, 0).astype(np.float64) @ columns.T
    halved = image.shape[:2] == (2 * size[0], 2 * size[1])
    whole = np.floor(pixels + 0.5) if halved else np.rint(pixels)  # OpenCV's sums of four round halves up
    return np.ascontiguousarray(np.moveaxis(whole.clip(0, 255).astype(np.uint8), 0, -1))


def _areas(old: int, new: int) -> Weights:
    """Part (new, old) of each new pixel that each old one covers."""
    edges = np.arange(new + 1)[:, None] * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    weights: Weights = overlap.clip(0) * (new / old)
    return weights


def _neighbours(old: int, new: int) -> Weights:
    """Weight (new, old) of each old pixel in each new one: the first that it covers, and the next one's part of it."""
    places = np.arange(new)
    first = np.floor(places * (old / new)).astype(int)
    part = (places + 1) - (first + 1) * (new / old)
    part = np.where((part <= 0) | (first >= old - 1), 0, part - np.floor(part))
    weights = np.zeros((new, old))
    weights[places, first] = 1 - part
    weights[places, np.minimum(first + 1, old - 1)] += part
    return weights
