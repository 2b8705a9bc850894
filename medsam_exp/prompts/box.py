"""One box around each region of the coarse mask (the paper's prompt)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class BoxPerComponent:
    """Draws a tight box around every separate region; regions that touch at a corner are one."""

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:  # noqa: ARG002 (shared interface)
        """Return N boxes for the N regions of a (H, W) mask, in scan order; none for an empty mask."""
        labels, _ = ndimage.label(coarse_mask, structure=np.ones((3, 3)))
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(labels)
        ]
        return Prompts(boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4))
