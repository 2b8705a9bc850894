"""Of SAM's three proposals the one that SAM itself trusts most."""

from typing import ClassVar

from torch import Tensor


class BestIou:
    """Takes the proposal with the highest predicted IoU; of equals the first (how SAM-Med2D is published)."""

    multimask: ClassVar[bool] = True

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask and predicted IoU of (M, H, W) logits and (M,) predictions."""
        best = int(iou_predictions.argmax())
        return logits[best] > 0, float(iou_predictions[best])
