"""One box around each region of the coarse mask (the paper's prompt)."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.masks.components import regions_of
from medsam_exp.sam.prompt.perturb import PerturbedBoxes
from medsam_exp.types import Mask


class BoxPerComponent(PerturbedBoxes):
    """Draws a box around every connected component, in scan order; regions that touch at a corner are one.

    Arguments are those of `PerturbedBoxes`.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import BoxPerComponent
        >>> mask = np.zeros((6, 8), bool)
        >>> mask[1:3, 2:6] = True
        >>> BoxPerComponent()(mask, np.random.default_rng(0)).boxes_xyxy.tolist()
        [[2.0, 1.0, 6.0, 3.0]]
    """

    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """The box of each connected component."""
        return regions_of(mask).boxes
