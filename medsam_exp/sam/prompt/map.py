"""The saliency map alone as SAM's mask prompt."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from medsam_exp.types import Mask, Prompter, Prompts, SaliencyMap, UserError


@dataclass(frozen=True, kw_only=True)
class MapLogits:
    """A saliency map as the logits of a mask: scale (2 p - 1) of values p in [0, 1].

    Args:
        scale: logit of a map's value 1, above 0.
        side: longer side of the logits in pixels at most; larger maps are reduced to it.

    Raises:
        UserError: a number is not above 0.
    """

    gives_points: ClassVar[bool] = False
    gives_masks: ClassVar[bool] = True

    scale: float
    side: int

    def __post_init__(self) -> None:
        for name in ("scale", "side"):
            if not 0 < getattr(self, name) < np.inf:
                raise UserError(f"prompt.{name} is {getattr(self, name)}, but it must be above 0.")

    def logits(self, saliency_map: SaliencyMap) -> NDArray[np.float32]:
        """Logits (h, w) in [-scale, scale] of a map (H, W) in [0, 1], reduced to `side` pixels at most."""
        share = min(1, self.side / max(saliency_map.shape))
        height, width = (max(1, round(part * share)) for part in saliency_map.shape)
        values = torch.as_tensor(saliency_map)[None, None]
        reduced = interpolate(values, (height, width), mode="bilinear", antialias=True)[0, 0]
        logits: NDArray[np.float32] = (self.scale * (2 * reduced - 1)).numpy()
        return logits


@dataclass(frozen=True, kw_only=True)
class MapAlone(MapLogits):
    """Prompts SAM once with the image's whole map, where the coarse mask is not empty; neither box nor point.

    SAM (Kirillov 2023, arXiv 2304.02643) was trained with logits of its own besides points and boxes, never with a mask
    alone.
    """

    def on_map(self, saliency_map: SaliencyMap) -> Prompter:
        """Return the prompter of an image by its (H, W) map."""
        return _Logits(self.logits(saliency_map))


@dataclass(frozen=True)
class _Logits:
    logits: NDArray[np.float32]
    gives_points: ClassVar[bool] = False

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return one prompt of mask logits (h, w); none for an empty (H, W) mask."""
        return Prompts(mask_logits=self.logits[None]) if coarse_mask.any() else Prompts()
