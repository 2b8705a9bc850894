"""No fusion: SAM's one answer to a prompt."""

from typing import ClassVar

from torch import Tensor


class SingleMask:
    """Takes the mask that SAM gives when it is asked for one (`multimask_output=False`)."""

    multimask: ClassVar[bool] = False

    def __call__(self, logits: Tensor, iou_predictions: Tensor) -> tuple[Tensor, float]:
        """Return the (H, W) bool mask and predicted IoU of (1, H, W) logits and (1,) predictions."""
        return logits[0] > 0, float(iou_predictions[0])
