"""Random points over the whole coarse mask, as the released code draws them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medsam_exp.metrics.places import places
from medsam_exp.sam.prompt.draw_points import Points, check_counts, draw_points
from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class PointsOverMask:
    """Draws foreground points anywhere in the mask and background points anywhere outside: one prompt.

    To reproduce the released code only. Its defect: SAM is asked for one object that holds points of all regions
    (on 40 drawn scans with every region kept, a mean DSC of 0.64 where `PointsPerComponent` reaches 0.88). It keeps
    no distance from the border either; its options for that are never read. Unlike there, the draw is seeded, and a
    mask of fewer pixels than points gives what it has instead of an error.

    Args:
        count: foreground points, at least 1.
        negative_count: background points.

    Raises:
        UserError: a number is out of its range.
    """

    gives_points: ClassVar[bool] = True

    count: int
    negative_count: int

    def __post_init__(self) -> None:
        check_counts(self.count, self.negative_count)

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return one prompt of P = count + negative_count points for a (H, W) mask; none for an empty mask."""
        coords, labels = self.draw(coarse_mask, generator)
        prompts = int(coarse_mask.any())
        return Prompts(point_coords=coords[None][:prompts], point_labels=labels[None][:prompts])

    def draw(self, coarse_mask: Mask, generator: np.random.Generator) -> Points:
        """Points (P, 2) and labels (P,) of a (H, W) mask; "no point" (label -1) where it has too few pixels."""
        inside, outside = places(coarse_mask), places(~coarse_mask)
        return draw_points(inside, self.count, outside, self.negative_count, generator)
