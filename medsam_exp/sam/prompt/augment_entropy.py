"""SAMAug's point of maximum difference entropy: the pixel of SAM's first mask whose surroundings are least alike."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from skimage.filters.rank import entropy

from medsam_exp.sam.prompt.augment import Choice, PointAugmentation
from medsam_exp.types import RGBImage, SaliencyMap, UserError

_LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in the gray value (ITU-R BT.601)."""


@dataclass(frozen=True)
class EntropyPoint(PointAugmentation):
    """The pixel p of largest |E(p) - E(first point)|; of equals the first in scan order; see `PointAugmentation`.

    E(p) is the entropy in bits of the 256 gray values in the window around p, cut at the image's border.

    Args:
        inner: see `PointAugmentation`.
        window: side of the window in pixels, odd.
        image: (H, W, 3) uint8 RGB; given by `on_image`.

    Raises:
        UserError: the window has no middle.
    """

    window: int = 9
    image: RGBImage | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1 or self.window % 2 == 0:
            raise UserError(f"prompt.window is {self.window}, but it must be odd and at least 1.")

    def on_image(self, image: RGBImage) -> "EntropyPoint":
        """Return the same on an (H, W, 3) image."""
        return replace(self, image=image)

    def choice(self, saliency_map: SaliencyMap) -> Choice:
        """The pixel that differs most from the first point."""
        assert self.image is not None  # `on_image` comes first
        return _LeastAlike(self.image, self.window)


@dataclass(frozen=True)
class _LeastAlike:
    image: RGBImage
    window: int

    @cached_property
    def entropies(self) -> NDArray[np.float64]:
        """E (H, W); slow, so made when SAM's first mask is there, and once for all prompts of the image."""
        gray = (self.image @ _LUMA).round().astype(np.uint8)
        found: NDArray[np.float64] = entropy(gray, np.ones((self.window, self.window), np.uint8))
        return found

    def __call__(
        self, pixels: NDArray[np.int64], first: NDArray[np.float64], generator: np.random.Generator
    ) -> int:
        height, width = self.entropies.shape
        x, y = np.clip(first.astype(int), 0, [width - 1, height - 1])
        return int(np.abs(self.entropies[pixels[:, 1], pixels[:, 0]] - self.entropies[y, x]).argmax())
