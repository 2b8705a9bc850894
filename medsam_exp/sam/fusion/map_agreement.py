"""Of SAM's three proposals the one that agrees most with the saliency map."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.types import MaskFusion, SaliencyMap


class MapAgreement:
    """Takes the proposal whose mean saliency inside exceeds that outside most; of equals the first.

    With s the map and m a proposal's mask, the score is mean(s | m) - mean(s | not m). Inside of an empty mask the mean
    is 0; outside of the whole image it is that of the image. BiPrompt-SAM (Xu 2025, arXiv 2503.19769) chooses likewise,
    by the overlap with a mask that a text gave; this score is ours, and needs no threshold. A factor on the map does
    not matter.
    """

    multimask: ClassVar[bool] = True

    def on_map(self, saliency_map: SaliencyMap) -> MaskFusion:
        """Return the fusion of an image by its (H, W) map."""
        return _AgreementWith(saliency_map)


@dataclass(frozen=True)
class _AgreementWith:
    saliency_map: SaliencyMap
    multimask: ClassVar[bool] = True

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask and predicted IoU of (M, H, W) logits and (M,) predictions."""
        saliency, masks = torch.as_tensor(self.saliency_map, device=logits.device), logits > 0
        inside, outside = (
            (saliency * where).sum((1, 2)) / where.sum((1, 2)).clamp(min=1) for where in (masks, ~masks)
        )
        outside = torch.where(masks.all(2).all(1), inside, outside)
        best = int((inside - outside).argmax())
        return masks[best], float(iou_predictions[best])
