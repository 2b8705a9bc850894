"""A box around each region of the coarse mask, with points inside it (the paper's third prompt)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.points import PointsPerComponent
from medsam_exp.types import Mask, Prompts


@dataclass(frozen=True)
class BoxAndPoints:
    """Prompts SAM with the box and the points of each connected component.

    The points are those that `points` alone draws with the same generator, so the two prompts differ by the box.

    Args:
        box: draws the boxes.
        points: draws the points.
    """

    gives_points: ClassVar[bool] = True

    box: BoxPerComponent
    points: PointsPerComponent

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N prompts of a box and P points for the N regions of a (H, W) mask, in scan order."""
        points = self.points(coarse_mask, generator)
        boxes = self.box(coarse_mask, generator)
        return Prompts(boxes.boxes_xyxy, points.point_coords, points.point_labels)
