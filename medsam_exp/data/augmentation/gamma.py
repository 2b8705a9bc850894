"""Gamma: brighter or darker mid-tones, black and white as they were."""

import math
from dataclasses import dataclass

import numpy as np

from medsam_exp.types import RGBImage, UserError


@dataclass(frozen=True)
class Gamma:
    """Grey values v in [0, 1] become v^gamma, colour by colour.

    Args:
        gamma: above 0 and not 1; below 1 brighter, above 1 darker.

    Raises:
        UserError: it is not.
    """

    gamma: float

    def __post_init__(self) -> None:
        if not (self.gamma > 0 and math.isfinite(self.gamma)) or self.gamma == 1:
            raise UserError(
                f"augmentation.gamma={self.gamma}, but it must be above 0, and 1 would change nothing"
            )

    def __call__(self, image: RGBImage) -> RGBImage:
        """Change an (H, W, 3) uint8 image."""
        table = np.rint(255 * (np.arange(256) / 255) ** self.gamma).astype(np.uint8)
        changed: RGBImage = table[image]
        return changed
