"""Decoded pixels of an image file, whatever its format, and their digest."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime.limits import MIB, refuse_beyond


def refuse_large(shown: object, size: tuple[int, int], stored: int) -> None:
    """Refuse an image before it is decoded, by what its header says.

    Args:
        shown: the file.
        size: (H, W) pixels.
        stored: bytes of a pixel as it is stored; as 8-bit RGB it takes three.

    Raises:
        UserError: it takes more than `limits.image_mib`.
    """
    height, width = size
    what = f"{shown} has {width} x {height} pixels and"
    refuse_beyond(what, height * width * max(3, stored), "image_mib", MIB, "shrink it")


@dataclass(frozen=True)
class Pixels:
    """What an image file holds, before any rescaling.

    Attributes:
        values: (H, W) or (H, W, 3), uint8 for ordinary files; the stored numbers for deeper ones.
        alpha: (H, W) float32 opacity in [0, 1]; None where there is none or it is the same everywhere.
        lossy: the file format may have altered values (JPEG, WebP).
        orientation: EXIF tag that was applied, 1 (upright) to 8.
        spacing_mm: (row, column) size of a pixel, where the file says it as DICOM does; None when unknown.
        remarks: what is odd and how it is read instead, to follow "the images ..." in a note.
        numbers: (H, W) stored numbers, where `values` shows others: of a palette, or of less than 8 bits; else None.
        patient: what tells patients apart, secret, where the file says it as DICOM does; "" where it is unknown.
    """

    values: NDArray[Any]
    alpha: NDArray[np.float32] | None
    lossy: bool
    orientation: int = 1
    spacing_mm: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()
    numbers: NDArray[np.uint8] | None = None
    patient: str = ""


_BAND = 1 << 20
"""Values that are worked on at a time."""


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an array in order, so many at a time that what is computed of them stays small."""
    step = max(1, _BAND // max(1, math.prod(shape[1:])))
    yield from (slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def pixel_digest(values: NDArray[Any]) -> str:
    """SHA-256 (hex) of an array's shape and values, such as an (H, W, 3) uint8 image or an (H, W) bool mask."""
    hasher = hashlib.sha256(str(values.shape).encode())
    hasher.update(np.ascontiguousarray(values).data)
    return hasher.hexdigest()
