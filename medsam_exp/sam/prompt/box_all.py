"""One box around the whole coarse mask."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.perturb import PerturbedBoxes
from medsam_exp.types import Mask


class BoxAroundAll(PerturbedBoxes):
    """Draws one box around all regions together, to the end of the last pixel (`box_all_released` stops before it).

    Arguments are those of `PerturbedBoxes`.
    """

    def numbered(self, mask: Mask) -> NDArray[np.uint8]:
        """All of the mask is one region."""
        return mask.astype(np.uint8)
