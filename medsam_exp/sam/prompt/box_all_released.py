"""One box around the whole coarse mask, as the released code draws it by default."""

from typing import ClassVar

import numpy as np

from medsam_exp.sam.prompt.box_released import released_boxes
from medsam_exp.types import Mask, Prompts


class BoxAroundAllReleased:
    """Draws one box around all regions together.

    To reproduce the released code only. Where the image ends, the box ends at the last pixel, not one past it, and
    misses the last row or column. An empty mask has no box, where that code fails.
    """

    gives_points: ClassVar[bool] = False

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return the one box of a (H, W) mask; none for an empty mask."""
        boxes = released_boxes(coarse_mask)
        around = [np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])] if len(boxes) else []
        return Prompts(boxes_xyxy=np.array(around, np.float32).reshape(-1, 4))
