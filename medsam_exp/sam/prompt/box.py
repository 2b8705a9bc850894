"""One box around each region of the coarse mask (the paper's prompt)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.masks.components import label_components
from medsam_exp.sam.prompt.perturb import check_looseness, loosen
from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class BoxPerComponent:
    """Draws a box around every separate region; regions that touch at a corner are one.

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
        """Return N boxes for the N regions of a (H, W) mask, in scan order; none for an empty mask."""
        tight = tight_boxes(coarse_mask)
        return Prompts(boxes_xyxy=loosen(tight, coarse_mask.shape, self.expansion, self.jitter, generator))


def tight_boxes(mask: Mask) -> NDArray[np.float32]:
    """Smallest box (N, 4) around each of the N regions of a (H, W) mask, in scan order."""
    labels, _ = label_components(mask)
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(labels)
    ]
    return np.array(boxes, np.float32).reshape(-1, 4)
