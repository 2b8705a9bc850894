"""One box around the whole coarse mask."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.metrics.places import bounding_box
from medsam_exp.sam.prompt.perturb import PerturbedBoxes
from medsam_exp.types import Mask


class BoxAroundAll(PerturbedBoxes):
    """Draws one box around all regions together, to the end of the last pixel (`box_all_released` stops before it).

    Arguments are those of `PerturbedBoxes`.
    """

    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """The box of all of the mask."""
        rows, columns = bounding_box(mask)
        boxes = [(columns.start, rows.start, columns.stop, rows.stop)] if mask.any() else []
        return np.array(boxes, np.float32).reshape(-1, 4)
