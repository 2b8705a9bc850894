"""Finds what was drawn over an image: words, crosses that measure a lesion, and the outline of a mask.

Words and crosses are thin strokes of one bright shade. Strokes are what a white top-hat keeps; strokes of equal height
and brightness side by side are a word, and a crossing of two short lines with dark corners is a measuring cross.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.data.connected_components import connected_components
from medsam_exp.types import Mask, RGBImage


def _maximum(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Of every square window of an odd number of pixels; edges are repeated."""
    return _along(_along(values, size, np.maximum, 0), size, np.maximum, 1)


def _minimum(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Likewise."""
    return _along(_along(values, size, np.minimum, 0), size, np.minimum, 1)


def _white_top_hat(gray: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """How far bright structures narrower than the window stand out.

    Not by `scipy.ndimage`, whose top-hat and minimum filter give the same values in 9 and 23 times the time.
    """
    result: NDArray[np.uint8] = gray - _maximum(_minimum(gray, size), size)
    return result


def _along(values: NDArray[Any], size: int, extreme: np.ufunc, axis: int) -> NDArray[Any]:
    """One axis: windows of 1, 2, 4, ... pixels, each from two of the former, and a last step to the full size."""
    width = [(0, 0), (0, 0)]
    width[axis] = (size // 2, size // 2)
    found = np.moveaxis(np.pad(values, width, mode="edge"), axis, 0)
    reach = 1
    while reach < size:
        step = min(reach, size - reach)
        found = extreme(found[:-step], found[step:])
        reach += step
    return np.moveaxis(found, 0, axis)


Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels of the original image; right and lower are exclusive."""

_LONGEST_SIDE = 1024  # pixels; larger images are looked at in a smaller copy
_STROKE = 11  # pixels; wider strokes are no writing
_CONTRAST, _BRIGHT = 80, 150  # of 255: above the surroundings, and by itself
_SHORTEST, _TALLEST = 5, 40  # pixels of a letter's height
_CAPITALS, _LETTERS = 3, 4  # side by side are a word: of one height, or of several
_ASCENDER = 1.6  # height of a tall small letter over a low one's
_UNEVEN = 25  # of 255: letters of a word differ less in brightness
_LARGEST_BRIGHT_SHARE = 0.1  # of the pixels; in an image with more, black and white tissue passes for writing
_ARM, _CORNER = 4, 3  # pixels from a cross's centre
_AS_BRIGHT = 0.6  # of the centre: what still belongs to an arm
_SAME_MARK = 0.7  # correlation of two crosses' surroundings
_CROSSES = 2  # measure a distance


@dataclass(frozen=True)
class Overlay:
    """What is written over an image.

    Attributes:
        words: where.
        crosses: (x, y) of the centres of measuring crosses; none or at least two.
    """

    words: tuple[Box, ...] = ()
    crosses: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Letter:
    top: int
    left: int
    height: int
    width: int
    peak: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height


def find_overlay(gray: NDArray[np.uint8]) -> Overlay:
    """Look for words and measuring crosses in an (H, W) image."""
    step = -(-max(gray.shape) // _LONGEST_SIDE)
    small = np.ascontiguousarray(gray[::step, ::step])
    if min(small.shape) < 2 * _STROKE or (small >= 0.95 * small.max()).mean() > _LARGEST_BRIGHT_SHARE:
        return Overlay()
    strokes = (_white_top_hat(small, _STROKE) > _CONTRAST) & (small > _BRIGHT)
    words = _words(small, strokes)
    crosses = _crosses(small, strokes, words)
    return Overlay(
        tuple((x0 * step, y0 * step, x1 * step, y1 * step) for x0, y0, x1, y1 in words),
        tuple((x * step, y * step) for x, y in crosses),
    )


def _words(gray: NDArray[np.uint8], strokes: NDArray[np.bool_]) -> list[Box]:
    letters = sorted(_letters(gray, strokes), key=lambda letter: (letter.left, letter.top))
    joined = []
    for first, a in enumerate(letters):
        for second in range(first + 1, len(letters)):
            b = letters[second]
            if b.left - a.left > 4 * _TALLEST:
                break
            if _neighbours(a, b):
                joined.append((first, second))
    words = []
    for chain in connected_components(range(len(letters)), joined):
        found = [letters[place] for place in chain]
        heights = [each.height for each in found]
        of_one_height = max(heights) - min(heights) <= max(2.0, 0.25 * max(heights))
        if len(found) >= (_CAPITALS if of_one_height else _LETTERS):
            left, top = min(each.left for each in found), min(each.top for each in found)
            words.append((left, top, max(each.right for each in found), max(each.bottom for each in found)))
    return words


def _letters(gray: NDArray[np.uint8], strokes: NDArray[np.bool_]) -> list[_Letter]:
    """Connected strokes of a letter's size and shape; none at the upper edge, where ultrasound has bright skin."""
    labels, _ = scipy.ndimage.label(strokes, np.ones((3, 3)))
    letters = []
    for number, place in enumerate(scipy.ndimage.find_objects(labels), 1):
        rows, columns = place
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if rows.start < 2 or not _SHORTEST <= height <= _TALLEST or width > 1.8 * height:
            continue
        own = labels[place] == number
        if width > 2 and not 0.2 <= own.mean() <= 0.95:
            continue
        letters.append(_Letter(rows.start, columns.start, height, width, int(gray[place][own].max())))
    return letters


def _neighbours(a: _Letter, b: _Letter) -> bool:
    """Whether two letters, the first further left, may follow each other: capitals, or any on one line."""
    height = max(a.height, b.height)
    if not 0 <= b.left - a.right <= height:
        return False
    slack = max(1.0, 0.15 * height)
    on_one_line = abs(a.bottom - b.bottom) <= slack
    capitals = abs(a.top - b.top) <= slack and abs(a.height - b.height) <= slack
    mixed = on_one_line and height <= _ASCENDER * min(a.height, b.height)
    gap = height if capitals else 0.6 * height
    return b.left - a.right <= gap and (capitals or mixed) and abs(a.peak - b.peak) <= _UNEVEN


def _crosses(gray: NDArray[np.uint8], strokes: NDArray[np.bool_], words: list[Box]) -> list[tuple[int, int]]:
    """Centres of crosses outside of words, all of one brightness; none where there is a single one."""
    marked = _crossings(gray, strokes)
    for x0, y0, x1, y1 in words:
        marked[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = False
    labels, count = scipy.ndimage.label(_maximum(marked, 5))
    if count < _CROSSES:
        return []
    peaks = scipy.ndimage.maximum(gray, labels, range(1, count + 1))
    centres = scipy.ndimage.center_of_mass(marked, labels, range(1, count + 1))
    bright = np.max(peaks) - _UNEVEN
    found = [(round(x), round(y)) for (y, x), peak in zip(centres, peaks, strict=True) if peak >= bright]
    return _alike(gray, found)


def _alike(gray: NDArray[np.uint8], found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that look like another one, as marks of a machine do; their middles may be a pixel off."""
    padded = np.pad(gray.astype(np.float32), _ARM + 1, mode="edge")
    side = 2 * _ARM + 1
    views = [
        [padded[y + dy : y + dy + side, x + dx : x + dx + side] for dy in range(3) for dx in range(3)]
        for x, y in found
    ]
    kept = []
    for place, own in enumerate(views):
        others = [view for other, shifted in enumerate(views) if other != place for view in shifted]
        if any(np.corrcoef(own[4].ravel(), view.ravel())[0, 1] >= _SAME_MARK for view in others):
            kept.append(found[place])
    return kept if len(kept) >= _CROSSES else []


def _crossings(gray: NDArray[np.uint8], strokes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) true where four arms of strokes meet, and at least three of the four corners between them are dark."""
    ys, xs = np.nonzero(strokes)
    border = _ARM + 1
    padded = np.pad(gray.astype(np.float32), border, mode="edge")
    on_stroke = np.pad(strokes, border)

    def around(dy: int, dx: int) -> NDArray[np.float32]:
        return padded[ys + border + dy, xs + border + dx]

    for reach in range(1, _ARM):
        for dy, dx in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
            bright = around(dy, dx) >= _AS_BRIGHT * around(0, 0)
            drawn = on_stroke[ys + border + dy, xs + border + dx] | (reach == _ARM - 1)
            ys, xs = ys[bright & drawn], xs[bright & drawn]
    for distance, share in ((_CORNER, 0.6), (_CORNER - 1, 0.65)):
        dark = [
            around(dy * distance, dx * distance) <= share * around(0, 0) for dy in (1, -1) for dx in (1, -1)
        ]
        fits = np.sum(dark, axis=0) >= 3
        ys, xs = ys[fits], xs[fits]
    marked = np.zeros(gray.shape, dtype=bool)
    marked[ys, xs] = True
    return marked


_FEWEST = 24  # pixels of an outline that can be judged
_MARGIN = 12  # pixels around the mask that are compared
_COLOURED = 80  # of 255: between the strongest and the weakest channel of a drawn line
_LINE_BRIGHT = 230  # of 255: a drawn line on gray
_LINE_UNEVEN = 10  # of 255: its standard deviation at most; rims of tumours vary
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
    border = mask & ~_minimum(mask, 3)
    if border.sum() < _FEWEST:
        return False
    coloured = (image.max(axis=-1) - image.min(axis=-1)) > _COLOURED
    white = image.min(axis=-1) > _LINE_BRIGHT
    along = _maximum(border, 5)
    even = not white[along].any() or float(image[along & white].std()) <= _LINE_UNEVEN
    return _follows(coloured, border, mask) or (even and _follows(white, border, mask))


def _follows(line: Mask, border: Mask, inside: Mask) -> bool:
    """Whether a line is along the border, and neither inside of it nor outside, as a bright object would be."""
    if not line.any() or _maximum(line, 5)[border].mean() < _ALONG:
        return False
    away = ~_maximum(border, 9)
    places = [away & inside, away & ~inside]
    return all(place.sum() >= _FEWEST and line[place].mean() <= _BESIDE for place in places)
