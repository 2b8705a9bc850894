"""One box around each region of the coarse mask (the paper's prompt)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.masks.components import label_components
from medsam_exp.sam.prompt.perturb import PerturbedBoxes
from medsam_exp.types import Mask


@dataclass(frozen=True)
class BoxPerComponent(PerturbedBoxes):
    """Draws a box around every connected component, in scan order; regions that touch at a corner are one.

    Args:
        expansion: share of the box's side that is added at either end, at least 0; 0 is a tight box.
        jitter: the most that each border moves at random, as a share of the side, in [0, 0.5).

    Raises:
        UserError: a share is out of its range.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import BoxPerComponent
        >>> mask = np.zeros((6, 8), bool)
        >>> mask[1:3, 2:6] = True
        >>> BoxPerComponent()(mask, np.random.default_rng(0)).boxes_xyxy.tolist()
        [[2.0, 1.0, 6.0, 3.0]]
    """

    def tight(self, mask: Mask) -> NDArray[np.float32]:
        """Smallest box (N, 4) around each of the N regions of a (H, W) mask."""
        return tight_boxes(mask)


def tight_boxes(mask: Mask) -> NDArray[np.float32]:
    """Smallest box (N, 4) around each of the N regions of a (H, W) mask, in scan order."""
    labels, _ = label_components(mask)
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(labels)
    ]
    return np.array(boxes, np.float32).reshape(-1, 4)
