"""Control: a centred box, independent of the saliency map."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medsam_exp.types import Mask, Prompts, UserError


@dataclass(frozen=True)
class CenterBox:
    """Draws the same centred box for every image: the score of SAM without localisation.

    A control, not a method: it looks at the mask's size only, so unlike the other prompts it also gives a box
    for an empty mask. A text-driven run must beat it.

    Args:
        side_fraction: of the image's width and of its height, in (0, 1].

    Raises:
        UserError: the fraction is outside (0, 1].
    """

    gives_points: ClassVar[bool] = False

    side_fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.side_fraction <= 1:
            raise UserError(
                f"prompt.side_fraction is {self.side_fraction}, but it must be above 0 and at most 1, "
                "as a fraction of the image's sides."
            )

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return one box, in the middle of a (H, W) image."""
        height, width = coarse_mask.shape
        margin, end = (1 - self.side_fraction) / 2, (1 + self.side_fraction) / 2
        box = np.array([[margin * width, margin * height, end * width, end * height]], np.float32)
        return Prompts(boxes_xyxy=box)
