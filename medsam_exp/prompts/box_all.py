"""One box around the whole coarse mask (default of the released code)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class BoxAroundAll:
    """Draws one tight box around all regions together."""

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:  # noqa: ARG002 (shared interface)
        """Return the one box of a (H, W) mask; none for an empty mask."""
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(coarse_mask.astype(np.uint8))
        ]
        return Prompts(boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4))
