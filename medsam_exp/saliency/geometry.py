"""The way of a saliency map from the network's patch grid back to the image file's own pixels."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.types import SaliencyMap

_SMALLEST_SPREAD = 1e-6  # relative; below it differences are float32 rounding, which min-max would blow up


def to_original_frame(relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
    """Stretch a relevance grid over the whole image and scale it to [0, 1].

    The network saw the whole image squashed to its square, so bilinear interpolation between the patches'
    centres (`align_corners=False`) is the exact way back; then min-max.

    Args:
        relevance: (gh, gw), any unit.
        size: (H, W) of the original image in pixels.

    Returns:
        (H, W) float32 in [0, 1], original frame; all zero where nothing stands out: the relevance is constant
        or not finite.
    """
    grid = relevance.detach().to("cpu", torch.float64)
    if not bool(grid.isfinite().all()) or not _stands_out(grid):
        return np.zeros(size, np.float32)
    stretched = interpolate(grid[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    if not _stands_out(stretched):
        return np.zeros(size, np.float32)
    low, high = stretched.aminmax()
    scaled: SaliencyMap = ((stretched - low) / (high - low)).to(torch.float32).numpy()
    return scaled


def _stands_out(values: Tensor) -> bool:
    low, high = values.aminmax()
    return bool(high - low > _SMALLEST_SPREAD * values.abs().amax())
