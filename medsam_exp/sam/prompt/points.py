"""Random points inside each region of the coarse mask (the paper's other prompt)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medsam_exp.masks.components import label_components
from medsam_exp.metrics.places import bounding_box, places
from medsam_exp.sam.prompt.draw_points import check_counts, draw_points
from medsam_exp.types import Mask, Prompts, UserError


@dataclass(frozen=True)
class PointsPerComponent:
    """Draws different foreground points inside every separate region, and background points outside all of them.

    Each region is a prompt with its own points, so that SAM is asked for one region at a time. Foreground points
    keep away from the region's border, where saliency is least sure of itself; the image's edge counts as border.
    In a region too thin for the margin they keep to its inner half, in one of too few pixels they lie anywhere.
    A region with fewer pixels than `count` gives what it has, a full mask has no background points; "no point"
    (label -1) fills the rest, so that P = count + negative_count always.

    A point's x, y are the column and row of its pixel: whole numbers are pixel centres, as for SAM itself. A
    box's borders count from pixels' edges instead, half a pixel before.

    Args:
        count: foreground points of a region, at least 1.
        margin: least distance from the region's border, in pixels: how many rings of border pixels are left out.
        negative_count: background points of a region.
        negative_margin: least distance of background points from all regions, in pixels.

    Raises:
        UserError: a number is out of its range.
    """

    gives_points: ClassVar[bool] = True

    count: int
    margin: float
    negative_count: int
    negative_margin: float

    def __post_init__(self) -> None:
        check_counts(self.count, self.negative_count)
        for name in ("margin", "negative_margin"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UserError(
                    f"`{name}` of the prompt's points is {getattr(self, name)}, but it must be a distance in pixels."
                )

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N prompts of P points for the N regions of a (H, W) mask, in scan order; none for an empty mask."""
        labels, regions = label_components(coarse_mask)
        box = bounding_box(coarse_mask)
        depth = np.zeros(coarse_mask.shape)
        depth[box] = ndimage.distance_transform_edt(np.pad(coarse_mask[box], 1))[1:-1, 1:-1]
        background: NDArray[np.intp] = np.zeros((0, 2), np.intp)
        if regions and self.negative_count:
            # What is further away than twice the margin lies deep enough, however far it is.
            reach = math.ceil(2 * self.negative_margin) + 1
            near = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
            distance = np.full(coarse_mask.shape, np.inf)
            distance[near] = ndimage.distance_transform_edt(~coarse_mask[near])
            background = _deep_pixels(~coarse_mask, distance, self.negative_margin, self.negative_count)
        drawn = []
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            inside = _deep_pixels(labels[place] == number, depth[place], self.margin, self.count)
            inside = inside + np.array([place[0].start, place[1].start])
            drawn.append(draw_points(inside, self.count, background, self.negative_count, generator))
        size = self.count + self.negative_count
        return Prompts(
            point_coords=np.array([coords for coords, _ in drawn], np.float32).reshape(-1, size, 2),
            point_labels=np.array([labels for _, labels in drawn], np.int64).reshape(-1, size),
        )


def _deep_pixels(region: Mask, depth: NDArray[np.float64], margin: float, count: int) -> NDArray[np.intp]:
    """Pixels (n, 2) row, column of a region that lie deeper than a margin, if there are at least `count`; else all.

    Never more than half of the region's greatest depth is asked for.
    """
    if not region.any():
        return np.zeros((0, 2), np.intp)
    deep = places(region & (depth > min(margin, depth[region].max() / 2)))
    return deep if len(deep) >= count else places(region)
