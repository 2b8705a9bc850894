"""Transforms of an image to the network's input, and of its saliency map from the patch grid to the original frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.runtime.finite import all_finite
from medsam_exp.types import RGBImage, SaliencyMap

_SMALLEST_SPREAD = 1e-6  # relative; below it differences are float32 rounding, which min-max would blow up


class Geometry(Protocol):
    """Transforms between the original frame and the network's square input."""

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

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
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
        stretched = interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        if not (stands_out(grid) and stands_out(stretched)):
            return np.zeros(size, np.float32)
        low, high = stretched.aminmax()
        scaled: SaliencyMap = ((stretched - low) / (high - low)).to(torch.float32).numpy()
        return scaled


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
    low, high = values.aminmax()
    return bool(high - low > _SMALLEST_SPREAD * values.abs().amax())
