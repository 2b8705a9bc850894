"""One box around the whole coarse mask."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from medsam_exp.sam.prompt.perturb import check_looseness, loosen
from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class BoxAroundAll:
    """Draws one box around all regions together, to the end of the last pixel (`box_all_released` stops before it).

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
        check_looseness(self.expansion, self.jitter)

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return the one box of a (H, W) mask; none for an empty mask."""
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(coarse_mask.astype(np.uint8))
        ]
        tight = np.array(boxes, np.float32).reshape(-1, 4)
        return Prompts(boxes_xyxy=loosen(tight, coarse_mask.shape, self.expansion, self.jitter, generator))
