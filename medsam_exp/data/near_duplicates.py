"""Finds images that show the same scan, although format, size, brightness, marks, turning or mirroring differ.

Candidates are pairs whose perceptual hashes (pHash of the ImageHash library) differ in few of 64 bits. Hashes of scans
of one organ come as close by chance, so a pair counts only where the fine structure of the thumbnails agrees, too:
speckle and tissue borders of two scans do not, however alike their light and shade are. Fine structure is the
difference to a smoothed copy over its local strength, so that no bright bone or frame decides alone, and only the
thumbnails' middle counts, since many images share the frame around it. Copies that were cut or scaled a little are
found by shifting one thumbnail over the other.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from medsam_exp.runtime.extras import require

_THUMBNAIL_SIDE = 64
MOST_BITS = 12
"""Of 64 in which the hashes of two copies may differ."""
LEAST_CORRELATION = 0.6
"""Of the fine structure of two copies; of 350 breast, 41 brain and 1,500 mixed scans no two others came as far."""

_HASHED_SIDE, _FREQUENCIES = 32, 8  # ImageHash's own numbers
_SMOOTH = 4.0  # pixels of a thumbnail; what is coarser than this does not count
_FAINT = 6.0  # gray values; structure below is noise
_FRAME = 10  # pixels at a thumbnail's edge that do not count
_PATCH, _SHIFT = 22, 5  # pixels: half of the side that is shifted, and how far
_SCALES = (0.92, 0.96, 1.0, 1.04, 1.08)
_WORTH_SHIFTING = 0.15  # of correlation as they lie
_BLOCK = 512  # rows of the table of all pairs that are in memory at a time
_VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "": lambda values: values,
    "mirrored": np.fliplr,
    "turned by 180 degrees": lambda values: np.rot90(values, 2),
    "upside down": np.flipud,
    "transposed": np.transpose,
    "turned by 90 degrees": np.rot90,
    "turned by 270 degrees": lambda values: np.rot90(values, 3),
    "transposed the other way": lambda values: np.rot90(values, 2).T,
}


@dataclass(frozen=True)
class NearDuplicate:
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


def perceptual_hashes(thumbnail: NDArray[np.uint8]) -> tuple[int, ...]:
    """Perceptual hashes of a (64, 64) thumbnail in all eight orientations, in the order of `_VIEWS`.

    The first is ImageHash's own. A mirrored image has the same cosine transform but for signs, and a transposed one has
    the transposed, so the other seven follow from a single transform.
    """
    require("imagehash")
    import imagehash  # it and skimage.feature are slow to import, and runs hardly ever need them

    picture = Image.fromarray(np.ascontiguousarray(thumbnail))
    small = np.asarray(
        picture.resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.LANCZOS), dtype=np.float64
    )
    low = scipy.fft.dctn(small)[:_FREQUENCIES, :_FREQUENCIES]
    odd = (-1.0) ** np.arange(_FREQUENCIES)
    across, down, both = low * odd, low * odd[:, None], low * odd * odd[:, None]
    turned = [across, both, down, low.T, across.T, down.T, both.T]
    return (_number(imagehash.phash(picture).hash), *(_number(each > np.median(each)) for each in turned))


def _number(bits: NDArray[np.bool_]) -> int:
    return int("".join("1" if bit else "0" for bit in bits.ravel()), 2)


def make_thumbnail(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(64, 64) means over areas of an (H, W) image, whatever its aspect ratio."""
    small = Image.fromarray(gray).resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def pack_thumbnail(thumbnail: NDArray[np.uint8]) -> str:
    """A (64, 64) thumbnail as one line of text."""
    return base64.b64encode(thumbnail.tobytes()).decode()


def unpack_thumbnail(thumbnail: str) -> NDArray[np.uint8]:
    """The (64, 64) thumbnail that was packed."""
    flat = np.frombuffer(base64.b64decode(thumbnail), dtype=np.uint8)
    return flat.reshape(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)


def find_near_duplicates(
    hashes: Sequence[Sequence[int]], thumbnails: Sequence[str], least: float = LEAST_CORRELATION
) -> list[NearDuplicate]:
    """All pairs of images that show the same scan, in the order of their places.

    Args:
        hashes: of each image, in eight orientations.
        thumbnails: of each image, packed.
        least: correlation of the fine structure of two copies.
    """
    if len(hashes) < 2:
        return []
    fine: dict[int, NDArray[np.float32]] = {}
    found: dict[tuple[int, int], NearDuplicate] = {}
    views = list(_VIEWS.items())
    for first, second, view, bits in _candidates(np.array(hashes, dtype=np.uint64)):
        if (first, second) in found:
            continue
        for place in (first, second):
            if place not in fine:
                fine[place] = _fine(unpack_thumbnail(thumbnails[place]))
        turned, turn = views[view]
        correlation = _correlation(_middle(fine[first]), _middle(turn(fine[second])))
        if view == 0 and _WORTH_SHIFTING <= correlation < least:
            correlation = _shifted_correlation(fine[first], unpack_thumbnail(thumbnails[second]))
        if correlation >= least:
            found[first, second] = NearDuplicate(first, second, bits, correlation, turned)
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
    """Fine structure alone, over its local strength."""
    values = thumbnail.astype(np.float32)
    values -= scipy.ndimage.gaussian_filter(values, _SMOOTH)
    values /= np.sqrt(scipy.ndimage.gaussian_filter(values**2, _SMOOTH)) + np.float32(_FAINT)
    return values


def _middle(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[_FRAME:-_FRAME, _FRAME:-_FRAME]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson's; 0 where there is no structure."""
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / norms if norms > 1e-3 else 0.0


def _shifted_correlation(first: NDArray[np.float32], second: NDArray[np.uint8]) -> float:
    """The best correlation of the middle of one thumbnail's fine structure with any nearby place of the other's.

    Args:
        first: (64, 64) fine structure.
        second: (64, 64) thumbnail, tried in several sizes.
    """
    from skimage.feature import match_template

    centre = _THUMBNAIL_SIDE // 2
    patch = first[centre - _PATCH : centre + _PATCH, centre - _PATCH : centre + _PATCH]
    best = 0.0
    for scale in _SCALES:
        side = round(_THUMBNAIL_SIDE * scale)
        sized = Image.fromarray(second).resize((side, side), Image.Resampling.BICUBIC)
        start = side // 2 - _PATCH - _SHIFT
        place = slice(start, start + 2 * (_PATCH + _SHIFT))
        best = max(best, float(match_template(_fine(np.asarray(sized))[place, place], patch).max()))
    return best
