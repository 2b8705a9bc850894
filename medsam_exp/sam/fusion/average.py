"""The mean of SAM's three proposals."""

from typing import ClassVar

from torch import Tensor


class AverageMask:
    """Foreground is where the mean probability of the proposals is above 0.5.

    Probabilities, not logits, are averaged: a logit has no bound, so one proposal could outvote both others.
    """

    multimask: ClassVar[bool] = True

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask of (M, H, W) logits, and the mean of the (M,) predicted IoUs."""
        return logits.sigmoid().mean(0) > 0.5, float(iou_predictions.mean())
