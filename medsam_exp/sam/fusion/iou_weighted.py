"""The mean of SAM's three proposals, each weighted by how much SAM trusts it."""

from typing import ClassVar

import torch
from torch import Tensor


class IouWeightedMask:
    """Foreground is where the mean probability, weighted by predicted IoU, is above 0.5.

    A prediction below 0 weighs nothing; when none is above 0, all weigh the same.
    """

    multimask: ClassVar[bool] = True

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask of (M, H, W) logits, and the weighted mean of the (M,) predicted IoUs."""
        trust = iou_predictions.clamp(min=0)
        if not trust.any():
            trust = torch.ones_like(trust)
        weights = trust / trust.sum()
        probability = (weights[:, None, None] * logits.sigmoid()).sum(0)
        return probability > 0.5, float((weights * iou_predictions).sum())
