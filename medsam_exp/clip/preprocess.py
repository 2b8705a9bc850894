"""From an image file's pixels to what a CLIP vision tower takes."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medsam_exp.types import RGBImage


@dataclass(frozen=True)
class Preprocess:
    """Squash an image to the network's size (no crop, so that a map returns to the original frame exactly).

    Args:
        size: (h, w) of the network's input.
        mean: of red, green, blue, in [0, 1].
        std: of red, green, blue.
        interpolation: bicubic or bilinear, as the network was trained.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"

    def __call__(self, image: RGBImage) -> Tensor:
        """Return (3, h, w) float32, standardised, of an (H, W, 3) uint8 image (antialiased)."""
        height, width = self.size
        squashed = Image.fromarray(image).resize(
            (width, height), Image.Resampling[self.interpolation.upper()]
        )
        pixels = torch.from_numpy(np.array(squashed, dtype=np.float32)).permute(2, 0, 1) / 255
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return (pixels - mean[:, None, None]) / std[:, None, None]
