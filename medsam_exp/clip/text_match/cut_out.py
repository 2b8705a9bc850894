"""What a mask covers, cut out: CLIP sees the target alone and large, but neither its place nor its size."""

from dataclasses import dataclass

import numpy as np

from medsam_exp.clip.regions import cut_out
from medsam_exp.clip.text_match.contrast import TextMatch
from medsam_exp.types import Mask, RGBImage


@dataclass(frozen=True)
class CutOut(TextMatch):
    """Shows the bounding box of the mask, black around the mask, as SaLIP shows a region (arXiv 2404.06362)."""

    def view(self, image: RGBImage, mask: Mask) -> RGBImage:
        """(h, w, 3) of the bounding box; see `TextMatch`."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return cut_out(image, mask[y0:y1, x0:x1], (x0, y0, x1, y1))
