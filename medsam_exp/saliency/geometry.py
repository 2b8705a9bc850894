"""Transforms of an image to the network's input, and of its saliency map from the patch grid to the original frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.masks.nearest import nearest
from medsam_exp.runtime.finite import all_finite
from medsam_exp.types import RGBImage, SaliencyMap

_SMALLEST_SPREAD = 1e-6  # relative; below it differences are float32 rounding, which min-max would blow up


class Geometry(Protocol):
    """Transforms between the original frame and the network's square input.

    Attributes:
        stored: with which `from_stored_grid` makes `to_original_frame` of a grid that was stored, JSON-able; None where
            it cannot, so that maps are stored in the original frame.
    """

    @property
    def stored(self) -> Mapping[str, Any] | None:
        """Known of the geometry alone, whatever the image."""

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return the network's input (3, h, w) of an (H, W, 3) image."""

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
        """Return the (H, W) map of a relevance grid (gh, gw); `size` is (H, W)."""


@dataclass(frozen=True)
class Squash:
    """The whole image squashed to the network's square, and its map stretched back: exact, nothing is cut off.

    Args:
        preprocess: of the CLIP model.
    """

    preprocess: Callable[[RGBImage], Tensor]

    @property
    def stored(self) -> Mapping[str, Any]:
        """The way back depends on nothing but the image's size."""
        return {"geometry": "squash"}

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
        """As `stretched`, the exact way back of the whole image."""
        return stretched(relevance, size)


@dataclass(frozen=True)
class Pad:
    """The whole image in the network's square with its aspect ratio kept, bars of the mean colour beside it.

    Args:
        clip_preprocess: of the CLIP model; its size, mean and standard deviation are kept.
    """

    clip_preprocess: Preprocess

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, h, w) of an (H, W, 3) image, in the middle; the bars are the training images' mean, which is 0."""
        (height, width), (top, left, rows, columns) = self._size, _frame(self._size, image.shape[:2])
        inner = replace(self.clip_preprocess, size=(rows, columns))(image)
        return pad(inner, (left, width - left - columns, top, height - top - rows))

    @property
    def _size(self) -> tuple[int, int]:
        return self.clip_preprocess.size

    @property
    def stored(self) -> Mapping[str, Any]:
        """The way back goes by the network's own size."""
        return {"geometry": "pad", "network_size": list(self._size)}

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
        """As `stretched_without_bars`."""
        return stretched_without_bars(relevance, self._size, size)


def _frame(network_size: tuple[int, int], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of an image of `size` in the network's input, in whole pixels."""
    scale = min(network_size[0] / size[0], network_size[1] / size[1])
    rows, columns = (max(1, round(scale * side)) for side in size[:2])
    return (network_size[0] - rows) // 2, (network_size[1] - columns) // 2, rows, columns


def from_stored_grid(
    grid: NDArray[np.floating[Any]], stored: Mapping[str, Any], size: Sequence[int]
) -> SaliencyMap:
    """Bring a stored grid to the original frame, equal bit by bit to what its geometry made of the relevance.

    Args:
        grid: relevance (gh, gw).
        stored: of the geometry.
        size: (H, W) of the original image in pixels.

    Returns:
        (H, W) float32 in [0, 1], original frame.
    """
    relevance, (height, width) = torch.from_numpy(grid), size
    if stored["geometry"] == "squash":
        return stretched(relevance, (height, width))
    rows, columns = stored["network_size"]
    back = stretched_without_bars if stored["geometry"] == "pad" else stretched_in_blocks
    return back(relevance, (rows, columns), (height, width))


def stretched(relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
    """Stretch a relevance grid over the whole image and scale it to [0, 1].

    The network saw the whole image squashed to its square, so bilinear interpolation between the patches'
    centres (`align_corners=False`) is the exact way back; then min-max.

    Args:
        relevance: (gh, gw), any unit.
        size: (H, W) of the original image in pixels.

    Returns:
        (H, W) float32 in [0, 1], original frame; all zero where nothing stands out: the relevance is constant.

    Raises:
        ValueError: the relevance is not finite.
    """
    grid = finite_grid(relevance)
    large = interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return _scaled(grid, large)


def stretched_without_bars(
    relevance: Tensor, network_size: tuple[int, int], size: tuple[int, int]
) -> SaliencyMap:
    """Stretch what a relevance grid says of a padded image over the image, and scale it to [0, 1].

    Bilinear between the patches' centres as in `stretched`, at the places where the image lies in the input.

    Args:
        relevance: (gh, gw), any unit.
        network_size: (h, w) of the network's input.
        size: (H, W) of the original image in pixels.

    Returns:
        (H, W) float32 in [0, 1], original frame; all zero where nothing stands out.

    Raises:
        ValueError: the relevance is not finite.
    """
    grid = finite_grid(relevance)
    top, left, rows, columns = _frame(network_size, size)
    down = _bilinear(grid.shape[0], network_size[0], top, rows, size[0])
    across = _bilinear(grid.shape[1], network_size[1], left, columns, size[1])
    return _scaled(grid, down @ grid @ across.T)


def _bilinear(patches: int, network_side: int, start: int, length: int, side: int) -> Tensor:
    """Weights (side, patches) of patches on an axis, for each pixel of an image that fills `length` from `start` on."""
    centres = start + (torch.arange(side, dtype=torch.float64) + 0.5) * length / side
    places = (centres * patches / network_side - 0.5).clamp(0, patches - 1)
    return (1 - (places[:, None] - torch.arange(patches)).abs()).clamp(min=0)


def _scaled(grid: Tensor, large: Tensor) -> SaliencyMap:
    """A stretched grid (H, W) scaled to [0, 1]; all zero where nothing stands out."""
    low, high = large.aminmax()
    if not (stands_out(grid) and _apart(low, high)):
        return np.zeros(tuple(large.shape), np.float32)
    scaled: SaliencyMap = large.sub_(low).div_(high - low).to(torch.float32).numpy()
    return scaled


def stretched_in_blocks(
    relevance: Tensor, network_size: tuple[int, int], size: tuple[int, int]
) -> SaliencyMap:
    """Stretch a relevance grid over the whole image as the published code does.

    Bilinear to the network's size, min-max, the nearest value for each original pixel as OpenCV's resizing takes
    it, 8 bits.

    Args:
        relevance: (gh, gw), any unit.
        network_size: (h, w) of the network's input.
        size: (H, W) of the original image in pixels.

    Returns:
        (H, W) float32, multiples of 1/255, original frame; all zero where the relevance is constant.

    Raises:
        ValueError: the relevance is not finite.
    """
    grid = finite_grid(relevance)
    if not stands_out(grid):
        return np.zeros(size, np.float32)
    large = interpolate(grid[None, None], network_size, mode="bilinear", align_corners=False)[0, 0]
    low, high = large.aminmax()
    levels = (255 * (large - low) / (high - low)).round() / 255
    return nearest(levels.to(torch.float32).numpy(), size)


def finite_grid(relevance: Tensor) -> Tensor:
    """A relevance (gh, gw) in float64 on the CPU.

    Raises:
        ValueError: it is not finite; an empty map would call a broken network's answer "nothing found".
    """
    grid = relevance.detach().to("cpu", torch.float64)
    if not all_finite(grid):
        raise ValueError("a relevance that is not finite has no map")
    return grid


def stands_out(values: Tensor) -> bool:
    """Whether finite values differ by more than rounding."""
    return _apart(*values.aminmax())


def _apart(low: Tensor, high: Tensor) -> bool:
    return bool(high - low > _SMALLEST_SPREAD * torch.maximum(low.abs(), high.abs()))
