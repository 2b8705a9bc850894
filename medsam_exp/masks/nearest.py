"""Resizing by the nearest pixel, as the published codes do it by OpenCV."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)


def nearest(array: NDArray[Pixel], shape: tuple[int, ...]) -> NDArray[Pixel]:
    """Resize an (H, W) or (H, W, C) array by taking the pixel at or before each place, as OpenCV's INTER_NEAREST.

    In the same floating-point steps as OpenCV: where a place falls on a pixel's edge, their rounding decides.
    """
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * (1 / (new / old))).astype(int), old - 1)
        for new, old in zip(shape, array.shape[:2], strict=True)
    )
    result: NDArray[Pixel] = array[rows][:, columns]
    return result
