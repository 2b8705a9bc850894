"""Boxes that are expanded, or jittered at random: how exact must a box be for SAM?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, Prompts, UserError


@dataclass(frozen=True)
class PerturbedBoxes(ABC):
    """Base of the prompts that are boxes around a mask, expanded and jittered; no box leaves the image.

    Args:
        expansion: share of the box's side that is added at either end, at least 0; 0 is a tight box.
        jitter: the most that each border moves at random, as a share of the side, in [0, 0.5).

    Raises:
        UserError: a share is out of its range.
    """

    gives_points: ClassVar[bool] = False

    expansion: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.expansion < np.inf:
            raise UserError(
                f"`expansion` of the prompt's boxes is {self.expansion}, but it must be at least 0, as a share of "
                "their sides."
            )
        if not 0 <= self.jitter < 0.5:
            raise UserError(
                f"`jitter` of the prompt's boxes is {self.jitter}, but it must be in [0, 0.5), a share of their sides."
            )

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N boxes for a (H, W) mask, never without area; none for an empty mask."""
        tight = self.tight(coarse_mask)
        sides = np.tile(tight[:, 2:] - tight[:, :2], 2)
        moves = np.full(tight.shape, self.expansion) * [-1, -1, 1, 1]
        if self.jitter:  # the generator is left alone otherwise
            moves = moves + generator.uniform(-self.jitter, self.jitter, tight.shape)
        height, width = coarse_mask.shape
        moved = np.clip(tight + moves * sides, 0, [width, height] * 2)
        return Prompts(boxes_xyxy=moved.astype(np.float32))

    @abstractmethod
    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """Smallest boxes (N, 4) x0, y0, x1, y1 around what has a box each in a (H, W) mask; none for an empty mask."""
