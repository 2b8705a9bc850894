"""Boxes that are expanded, or jittered at random: how exact must a box be for SAM?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, Prompts, UserError


@dataclass(frozen=True)
class PerturbedBoxes(ABC):
    """Base of the prompts that are boxes around a mask, expanded and jittered.

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
        """Return N boxes for a (H, W) mask; none for an empty mask."""
        tight = self.tight(coarse_mask)
        return Prompts(
            boxes_xyxy=perturb_boxes(tight, coarse_mask.shape, self.expansion, self.jitter, generator)
        )

    @abstractmethod
    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """Boxes (N, 4) x0, y0, x1, y1 around a (H, W) mask, before they are perturbed."""


def perturb_boxes(
    boxes_xyxy: NDArray[np.float32],
    size: tuple[int, ...],
    expansion: float,
    jitter: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Expand each box by a share of its sides, and jitter each border at random.

    Args:
        boxes_xyxy: (N, 4) x0, y0, x1, y1 in pixels.
        size: (H, W) of the image, which a box never leaves.
        expansion: share of the side that is added at either end.
        jitter: the most that a border moves at random, as a share of the side; 0 leaves the generator alone.
        generator: decides the random part.

    Returns:
        (N, 4), never without area; the same boxes for 0 and 0.
    """
    sides = np.tile(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 2)
    moves = np.full(boxes_xyxy.shape, expansion) * [-1, -1, 1, 1]
    if jitter:
        moves = moves + generator.uniform(-jitter, jitter, boxes_xyxy.shape)
    height, width = size
    result: NDArray[np.float32] = np.clip(boxes_xyxy + moves * sides, 0, [width, height] * 2).astype(
        np.float32
    )
    return result
