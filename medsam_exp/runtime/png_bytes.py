"""An array as a PNG file."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png_bytes(pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    """The file of (H, W) or (H, W, 3) uint8; of a mask, (H, W) bool, with 0 and 255."""
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
