"""One box around the whole coarse mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.sam.prompt.perturb import PerturbedBoxes
from medsam_exp.types import Mask


@dataclass(frozen=True)
class BoxAroundAll(PerturbedBoxes):
    """Draws one box around all regions together, to the end of the last pixel (`box_all_released` stops before it).

    Args:
        expansion: share of the box's side that is added at either end, at least 0; 0 is a tight box.
        jitter: the most that each border moves at random, as a share of the side, in [0, 0.5).

    Raises:
        UserError: a share is out of its range.
    """

    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """Smallest box (1, 4) around all of a (H, W) mask; (0, 4) of an empty one."""
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(mask.astype(np.uint8))
        ]
        return np.array(boxes, np.float32).reshape(-1, 4)
