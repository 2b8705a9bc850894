"""Several jittered boxes around each region, among whose masks a fusion chooses."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.types import Mask, Prompts, UserError


@dataclass(frozen=True)
class JitteredBoxes:
    """The box of each region and others near it: a fusion sees the masks of all boxes of a region at once.

    With `fusion=map_agreement`, the mask of all boxes' proposals is kept that agrees most with the saliency map; with
    `fusion=average`, their mean.

    Args:
        box: draws the first box of each region.
        near: draws the others, each with a jitter of its own.
        count: boxes of each region, at least 2.

    Raises:
        UserError: the count is too small, or boxes without jitter would all be equal.
    """

    gives_points: ClassVar[bool] = False

    box: BoxPerComponent
    near: BoxPerComponent
    count: int

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UserError(
                f"prompt.count is {self.count}, but there must be at least 2 boxes to choose from."
            )
        if not self.near.jitter:
            raise UserError(
                "prompt.near.jitter is 0, but then all boxes of a region would be equal: set it above 0."
            )

    @property
    def alternatives(self) -> int:
        """Boxes in a row that ask for one region."""
        return self.count

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N x count boxes for the N regions of a (H, W) mask, region by region; none for an empty mask."""
        drawn = [self.box, *[self.near] * (self.count - 1)]
        boxes = np.stack([np.asarray(draw(coarse_mask, generator).boxes_xyxy) for draw in drawn], axis=1)
        return Prompts(boxes.reshape(-1, 4), alternatives=self.count)
