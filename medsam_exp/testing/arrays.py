"""Masks, maps and images that every method must take: usual ones, and the extremes."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, RGBImage, SaliencyMap

SHAPES = {
    "square": (32, 32),
    "not square": (47, 21),
    "one pixel": (1, 1),
    "a row": (1, 9),
    "a column": (13, 1),
    "large": (1024, 700),
}
"""(H, W) by name."""
_LARGE = 100_000  # pixels; from here on there are fewer arrays, as each takes long
_Array = TypeVar("_Array", bound=NDArray[np.generic])


def example_masks(shape: tuple[int, int]) -> dict[str, Mask]:
    """Masks (H, W) by what they show; writing to one raises an error."""
    height, width = shape
    pixel, hole, line, boxes = (np.zeros(shape, bool) for _ in range(4))
    pixel[height // 2, width // 3] = True
    hole[:] = True
    hole[height // 2, width // 2] = False
    line[:, width // 2] = True
    boxes[: height // 3, : width // 3] = boxes[height // 2 :, width // 2 :] = True
    y, x = np.mgrid[:height, :width]
    disk = np.hypot((y - 0.3 * height) / height, (x - 0.3 * width) / width) < 0.2
    masks = {
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
        "a pixel": pixel,
        "all but a pixel": hole,
        "a line": line,
        "boxes": boxes,
        "a disk and a pixel": disk | ((y == height - 1) & (x == width - 1)),
        "noise": (np.random.default_rng(0).random(shape) < 0.1) & (y < 40) & (x < 40),
    }
    return _fitting(masks, "empty", "full", "boxes", "a disk and a pixel")


def example_maps(shape: tuple[int, int]) -> dict[str, SaliencyMap]:
    """Saliency maps (H, W) float32 in [0, 1] by what they show; writing to one raises an error."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    blob = np.exp(-(((y - 0.4 * height) / height) ** 2 + ((x - 0.6 * width) / width) ** 2) / 0.05)
    pixel = np.zeros(shape)
    pixel[height // 2, width // 3] = 1
    maps = {
        "zero": np.zeros(shape),
        "constant": np.full(shape, 0.4),
        "one": np.ones(shape),
        "a pixel": pixel,
        "two values": (x + y) % 2,
        "blob": (blob - blob.min()) / max(np.ptp(blob), 1e-9),
        "weak": blob * 0.01,
        "noise": np.random.default_rng(0).random(shape),
    }
    return _fitting({name: each.astype(np.float32) for name, each in maps.items()}, "zero", "blob")


def example_images(shape: tuple[int, int]) -> dict[str, RGBImage]:
    """Images (H, W, 3) uint8 by what they show; writing to one raises an error."""
    height, width = shape
    gray = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3))
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    images = {
        "gray": gray,
        "colour": noise,
        "black": np.zeros((height, width, 3), np.uint8),
        "turned": noise[::-1, ::-1],
    }
    return _fitting(images, "gray")


def read_only(array: _Array) -> _Array:
    """A view of an array; writing to it raises an error."""
    view = array.view()
    view.flags.writeable = False
    return view


def _fitting(arrays: dict[str, _Array], *few: str) -> dict[str, _Array]:
    """Arrays that cannot be written to; of large ones only a few."""
    return {
        name: read_only(each)
        for name, each in arrays.items()
        if math.prod(each.shape[:2]) < _LARGE or name in few
    }
