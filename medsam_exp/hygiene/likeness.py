"""Finds images that show the same scan, although format, size, brightness, marks, turning or mirroring differ.

Candidates are pairs whose perceptual hashes (pHash of the ImageHash library) differ in few of 64 bits. Hashes of scans
of one organ come as close by chance, so a pair counts only where the fine structure of the thumbnails agrees, too:
speckle and tissue borders of two scans do not, however alike their light and shade are.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

THUMBNAIL_SIDE = 64
MOST_BITS = 12
"""Of 64 in which the hashes of two copies may differ."""
LEAST_CORRELATION = 0.5
"""Of the fine structure of two copies."""

_HASHED_SIDE, _FREQUENCIES = 32, 8  # ImageHash's own numbers
_SMOOTH = 4.0  # pixels of a thumbnail; what is coarser than this does not count
_BLOCK = 512  # rows of the table of all pairs that are in memory at a time
_NAMES = (
    "",
    "mirrored",
    "turned by 180 degrees",
    "upside down",
    "transposed",
    "turned by 90 degrees",
    "turned by 270 degrees",
    "transposed the other way",
)


@dataclass(frozen=True)
class Likeness:
    """Two images that show one scan.

    Attributes:
        first: place of the image that comes first.
        second: place of the other.
        bits: in which their hashes differ.
        correlation: of their fine structure, up to 1.
        turned: how the second must be turned to look like the first; "" where it need not be.
    """

    first: int
    second: int
    bits: int
    correlation: float
    turned: str = ""


def hashes_of(thumbnail: NDArray[np.uint8]) -> tuple[int, ...]:
    """Perceptual hashes of a (64, 64) thumbnail in all eight orientations, the given one first.

    The first is ImageHash's own. A mirrored image has the same cosine transform but for signs, and a transposed one has
    the transposed, so the other seven follow from a single transform.
    """
    picture = Image.fromarray(np.ascontiguousarray(thumbnail))
    small = np.asarray(
        picture.resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.LANCZOS), dtype=np.float64
    )
    low = dctn(small)[:_FREQUENCIES, :_FREQUENCIES]
    odd = (-1.0) ** np.arange(_FREQUENCIES)
    across, down, both = low * odd, low * odd[:, None], low * odd * odd[:, None]
    turned = [across, both, down, low.T, across.T, down.T, both.T]
    return (_number(imagehash.phash(picture).hash), *(_number(each > np.median(each)) for each in turned))


def _number(bits: NDArray[np.bool_]) -> int:
    return int("".join("1" if bit else "0" for bit in bits.ravel()), 2)


def _views(values: NDArray[Any]) -> list[NDArray[Any]]:
    """In the order of `_NAMES`."""
    return [
        values,
        values[:, ::-1],
        values[::-1, ::-1],
        values[::-1],
        values.T,
        np.rot90(values, 1),
        np.rot90(values, 3),
        np.rot90(values, 2).T,
    ]


def unpacked(thumbnail: str) -> NDArray[np.uint8]:
    """The (64, 64) thumbnail that facts hold."""
    flat = np.frombuffer(base64.b64decode(thumbnail), dtype=np.uint8)
    return flat.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def near_pairs(hashes: Sequence[Sequence[int]], thumbnails: Sequence[str]) -> list[Likeness]:
    """All pairs of images that show the same scan, in the order of their places.

    Args:
        hashes: of each image, in eight orientations.
        thumbnails: of each image, as facts hold them.
    """
    if len(hashes) < 2:
        return []
    table = np.array(hashes, dtype=np.uint64)
    fine: dict[int, NDArray[np.float32]] = {}
    found: dict[tuple[int, int], Likeness] = {}
    for first, second, view, bits in _candidates(table):
        if (first, second) in found:
            continue
        for place in (first, second):
            if place not in fine:
                fine[place] = _fine(unpacked(thumbnails[place]))
        correlation = _correlation(fine[first], _views(fine[second])[view])
        if correlation >= LEAST_CORRELATION:
            found[first, second] = Likeness(first, second, bits, correlation, _NAMES[view])
    return [found[pair] for pair in sorted(found)]


def _candidates(table: NDArray[np.uint64]) -> Iterator[tuple[int, int, int, int]]:
    """Places of two images, the second's view, and the bits in which they differ; the untouched view first."""
    for view in range(table.shape[1]):
        for start in range(0, len(table), _BLOCK):
            differing = np.bitwise_count(table[start : start + _BLOCK, :1] ^ table[None, :, view])
            rows, columns = np.nonzero(differing <= MOST_BITS)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                if start + row < column:
                    yield start + row, column, view, int(differing[row, column])


def _fine(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Fine structure alone, with a mean of 0 and a norm of 1; all 0 where there is none."""
    values = thumbnail.astype(np.float32)
    values = values - gaussian_filter(values, _SMOOTH)
    values -= values.mean()
    norm = float(np.linalg.norm(values))
    return values / norm if norm > 1e-3 else np.zeros_like(values)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float((a * b).sum())
