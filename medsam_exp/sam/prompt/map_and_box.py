"""A box around each region of the coarse mask, and the saliency map as SAM's mask prompt."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.map import MapLogits
from medsam_exp.types import Mask, Prompter, Prompts, SaliencyMap


@dataclass(frozen=True, kw_only=True)
class MapAndBox(MapLogits):
    """Prompts SAM with the box of each connected component, and with the image's whole map besides.

    SAM (Kirillov 2023, arXiv 2304.02643) reads logits as a mask prompt, its own of an earlier answer above all.

    Args:
        box: draws the boxes.

    The other arguments are those of `MapLogits`.
    """

    box: BoxPerComponent

    def on_map(self, saliency_map: SaliencyMap) -> Prompter:
        """Return the prompter of an image by its (H, W) map."""
        return _BoxWith(self.box, self.logits(saliency_map))


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
