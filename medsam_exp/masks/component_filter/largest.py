"""Component filter: the largest regions of the coarse mask (released code)."""

from dataclasses import dataclass

import numpy as np

from medsam_exp.masks.components import regions_of
from medsam_exp.types import Mask, SaliencyMap, UserError


@dataclass(frozen=True)
class LargestComponents:
    """Keeps the `count` largest regions: one for a tumour, two for a pair of lungs.

    Args:
        count: how many to keep, at least 1. Never more are kept: of regions with equal area, those that come
            first in scan order (the released code keeps all of them).

    Raises:
        UserError: the count is below 1.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"count is {self.count}, but the filter must keep at least one region.")

    def __call__(self, coarse_mask: Mask, saliency_map: SaliencyMap) -> Mask:
        """Return the (H, W) mask with the largest regions only; (H, W) saliency is not looked at."""
        regions = regions_of(coarse_mask)
        kept = np.zeros(regions.count, bool)
        kept[np.argsort(-regions.areas, kind="stable")[: self.count]] = True
        return regions.only(kept)
