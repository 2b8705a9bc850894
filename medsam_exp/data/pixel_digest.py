"""Digests of decoded pixels, by which copies of an image are found whatever their name and file format."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pixel_digest(values: NDArray[Any]) -> str:
    """SHA-256 (hex) of an array's shape and values, such as an (H, W, 3) uint8 image or an (H, W) bool mask."""
    hasher = hashlib.sha256(str(values.shape).encode())
    hasher.update(np.ascontiguousarray(values).data)
    return hasher.hexdigest()
