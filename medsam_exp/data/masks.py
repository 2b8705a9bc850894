"""Mask files to (H, W) bool, whatever two values they use.

Rules, in this order:
  - two colours: the brighter one is foreground; more colours are refused;
  - one colour under a varying alpha channel: the alpha channel is the mask;
  - one value: background if it is 0, else all foreground; two values: the higher is foreground;
  - more values around two levels (JPEG ringing, soft edges): above half of the maximum; said to be lossy;
  - more than two levels (class labels, or a scan by mistake): refused, unless the target's values are given.
Given values are the numbers that a file stores: of a palette its indices, not its colours; of a mask of 1, 2 or 4 bits
0 to 1, 3 or 15. Where none of them is stored, the grays that are shown count.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.data.decoding import DICOM_SUFFIX, decode
from medsam_exp.data.pixels import Pixels, bands
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Mask, UserError

_FEW_LEVELS = 8  # a lossless file with three to eight values holds labels, not ringing
_MOST_COLOURS = 256  # beyond them it is a picture, whose colours need not be counted
_DARKEST_LOSSY = 32  # a JPEG of {0, 1} keeps nothing of the mask; a JPEG of an empty mask may rise to 8


def read_mask(path: Path, foreground: Collection[int] | None = None) -> tuple[Mask, bool]:
    """Read where the target is.

    Args:
        path: a mask image; two-valued, or see the module's rules.
        foreground: values that count as foreground in a mask of class labels; None for two-valued masks.

    Returns:
        (H, W) bool mask, and whether it had to be thresholded because a lossy format blurred its values.

    Raises:
        UserError: the file cannot be read, or has more than two levels.
    """
    return to_mask(decode(path), path, foreground)


def to_mask(pixels: Pixels, path: Path, foreground: Collection[int] | None = None) -> tuple[Mask, bool]:
    """Decide which decoded pixels are foreground; see the module's rules.

    `path` names the file in errors; `foreground`, result and errors are those of `read_mask`.
    """
    levels = _grey_levels(pixels, path) if foreground is None else label_values(pixels, path, foreground)
    found = _distinct(levels)
    if not np.isfinite(found).all() or found[0] < 0:
        raise UserError(f"{path} has negative or non-finite values: save the mask with values 0 and 255")
    if foreground is not None:
        if pixels.lossy and len(found) > 2:
            raise UserError(f"{path} is lossy, so its labels are blurred: save the mask as PNG")
        return np.isin(levels, list(foreground)), False
    if len(found) == 1:
        return np.full(levels.shape, found[0] > (_DARKEST_LOSSY if pixels.lossy else 0)), False
    if pixels.lossy and found[-1] < _DARKEST_LOSSY:
        raise UserError(f"{path} is lossy and as dark as {found[-1]} of 255: save the mask as PNG, 0 and 255")
    if len(found) == 2:
        return levels == found[1], False
    if holds_labels(levels, lossy=pixels.lossy):
        stored = found if pixels.numbers is None else _distinct(pixels.numbers)
        raise UserError(
            f"{path} has more than two levels ({_listed(stored)}): give a two-valued mask, or name the "
            "values of the target in data.mask_values"
        )
    return levels > found[-1] / 2, True


def holds_labels(levels: NDArray[Any], *, lossy: bool) -> bool:
    """Whether a mask of more than two values holds class labels (or a scan), not soft edges around two levels.

    Args:
        levels: (H, W) one number per pixel.
        lossy: the file's format may have altered them.
    """
    few = len(_distinct(levels)) <= _FEW_LEVELS
    return (few and not lossy) or _has_middle_level(levels)


def refuse_unlisted_values(pixels: Pixels, path: Path, listed: Collection[int]) -> None:
    """Refuse a mask of class labels with values that the configuration does not list.

    Args:
        pixels: of the mask.
        path: the file, for the error.
        listed: values of all classes and of the background.

    Raises:
        UserError: names the other values.
    """
    found = _distinct(label_values(pixels, path, listed))
    others = [value for value in found if value not in listed]
    if others:
        raise UserError(
            f"{path} has pixels of the value {_listed(np.array(others))}, which data.classes does not list: add "
            "the class, or name the value in data.background"
        )


def label_values(pixels: Pixels, path: Path, asked: Collection[int] = ()) -> NDArray[Any]:
    """(H, W) one number per pixel of a mask of class labels, as it is stored.

    Args:
        pixels: of the mask.
        path: for the errors' texts.
        asked: values that are looked for; where other than 0 none is stored, but one is shown, what is shown.

    Raises:
        UserError: the mask has colours without a palette, or is a DICOM image.
    """
    values, wanted = pixels.values, [value for value in asked if value]
    if pixels.numbers is not None:
        shown = values[..., 0] if values.ndim == 3 else values
        gray = values.ndim == 2 or bool((values == shown[..., None]).all())
        if not gray or np.isin(pixels.numbers, wanted).any() or not np.isin(shown, wanted).any():
            return pixels.numbers
    if path.suffix.lower() == DICOM_SUFFIX:
        raise UserError(f"{path} is a DICOM image, read as a screen shows it: save its labels as gray PNG")
    if values.ndim == 3 and np.not_equal(*_extremes(values)).any():
        raise UserError(
            f"{path} is coloured, so it has no label values: save it as gray PNG, one value per class"
        )
    return _grey_levels(pixels, path)


def _grey_levels(pixels: Pixels, path: Path) -> NDArray[Any]:
    """(H, W) one number per pixel; the alpha channel where a single colour is painted."""
    values = pixels.values
    if pixels.alpha is not None:
        if (values == values[:1, :1]).all():
            return np.rint(pixels.alpha * 255).astype(np.uint8)
        alpha = pixels.alpha if values.ndim == 2 else pixels.alpha[..., None]
        over_black = np.empty_like(values)
        for rows in bands(values.shape):
            over_black[rows] = np.rint(values[rows] * alpha[rows])
        values = over_black
    if values.ndim == 2:
        return values
    darkest, brightest = _extremes(values)
    if (brightest - darkest).max() <= brightest.max() / 4:
        return brightest
    return _two_colours(values, path, pixels.numbers)


def _distinct(levels: NDArray[Any]) -> NDArray[Any]:
    """The different values, ascending."""
    if levels.dtype.kind == "u" and levels.dtype.itemsize <= 2:
        counted = np.zeros(256**levels.dtype.itemsize, np.int64)
        for rows in bands(levels.shape):
            counted += np.bincount(levels[rows].ravel(), minlength=counted.size)
        return np.flatnonzero(counted).astype(levels.dtype)
    found = levels[:0].ravel()
    for rows in bands(levels.shape):
        part = levels[rows]
        lowest, highest = part.min(), part.max()
        two = bool(((part == lowest) | (part == highest)).all())  # need not be sorted
        found = np.union1d(found, [lowest, highest] if two else part).astype(levels.dtype)
    return found


def _extremes(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(H, W) darkest and brightest channel of (H, W, 3) values: by channel, as NumPy is slow along a short axis."""
    red, green, blue = np.moveaxis(values, -1, 0)
    return np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)


def _two_colours(values: NDArray[Any], path: Path, numbers: NDArray[Any] | None) -> NDArray[np.bool_]:
    """(H, W) bool, true at the brighter of two colours; of other images only a few colours are looked for."""
    colours = np.zeros(0, np.int64)
    for rows in bands(values.shape):
        colours = np.union1d(colours, _one_number(values[rows]))
        if len(colours) > _MOST_COLOURS:
            break
    if len(colours) > 2:
        more = "more than " if len(colours) > _MOST_COLOURS else ""
        shown = first_few(
            (_three_numbers(colour) for colour in colours[:_MOST_COLOURS].tolist()), _FEW_LEVELS
        )
        raise UserError(
            f"{path} has {more}{min(len(colours), _MOST_COLOURS)} colours ({shown}): "
            f"save the mask of one class as PNG with values 0 and 255{_palette_hint(numbers)}"
        )
    brighter = max(map(_three_numbers, colours.tolist()), key=lambda colour: (max(colour), sum(colour)))
    result = np.zeros(values.shape[:2], bool)
    for rows in bands(values.shape):
        result[rows] = (values[rows] == np.array(brighter)).all(axis=-1)
    return result


def _one_number(colours: NDArray[Any]) -> NDArray[np.int64]:
    """(H, W) one number for each colour of up to 16 bits a channel, in the colours' order."""
    red, green, blue = (np.asarray(channel, np.int64) for channel in np.moveaxis(colours, -1, 0))
    return (red << 32) + (green << 16) + blue


def _three_numbers(colour: int) -> tuple[int, int, int]:
    return colour >> 32, (colour >> 16) & 0xFFFF, colour & 0xFFFF


def _palette_hint(numbers: NDArray[Any] | None) -> str:
    if numbers is None:
        return ""
    return (
        f", or name the target's numbers in the palette ({_listed(_distinct(numbers))}) in data.mask_values"
    )


def _has_middle_level(levels: NDArray[Any]) -> bool:
    """Whether there are flat regions between background and foreground, which ringing and soft edges never are."""
    highest, middle, above = levels.max(), 0, 0
    for rows in bands(levels.shape):
        near = slice(
            max(rows.start - 1, 0), rows.stop + 1
        )  # with a row's neighbours, of which the filters take account
        height = levels[near].astype(np.float64) / highest
        flat = scipy.ndimage.maximum_filter(height, 3) - scipy.ndimage.minimum_filter(height, 3) <= 0.1
        own = slice(rows.start - near.start, rows.stop - near.start)
        flat, height = flat[own], height[own]
        middle += int((flat & (height >= 0.25) & (height <= 0.75)).sum())
        above += int((height >= 0.25).sum())
    return middle > 0.01 * above


def _listed(found: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in found[:_FEW_LEVELS])
    return shown if len(found) <= _FEW_LEVELS else f"{len(found)} values: {shown}, ... {found[-1]:g}"
