"""A box around each region of the coarse mask, and the saliency map as SAM's mask prompt."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.map import above_zero, map_logits
from medsam_exp.types import Mask, Prompter, Prompts, SaliencyMap


@dataclass(frozen=True)
class MapAndBox:
    """Prompts SAM with the box of each connected component, and with the image's whole map besides.

    SAM (Kirillov 2023, arXiv 2304.02643) reads logits as a mask prompt, its own of an earlier answer above all. A map
    with values p in [0, 1] becomes the logits scale (2 p - 1).

    Args:
        box: draws the boxes.
        scale: logit of a map's value 1, above 0.
        side: longer side of the logits in pixels at most; larger maps are reduced to it.

    Raises:
        UserError: a number is not above 0.
    """

    gives_points: ClassVar[bool] = False
    gives_masks: ClassVar[bool] = True

    box: BoxPerComponent
    scale: float
    side: int

    def __post_init__(self) -> None:
        above_zero(scale=self.scale, side=self.side)

    def on_map(self, saliency_map: SaliencyMap) -> Prompter:
        """Return the prompter of an image by its (H, W) map."""
        return _BoxWith(self.box, map_logits(saliency_map, self.scale, self.side))


@dataclass(frozen=True)
class _BoxWith:
    box: BoxPerComponent
    logits: NDArray[np.float32]
    gives_points: ClassVar[bool] = False

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return N boxes for the N regions of a (H, W) mask, each with the same mask logits (h, w)."""
        boxes = self.box(coarse_mask, generator).boxes_xyxy
        assert boxes is not None  # a prompter of boxes
        return Prompts(boxes, mask_logits=np.repeat(self.logits[None], len(boxes), axis=0))
