"""An image is drawn by what SAM expects of its mask."""

from typing import ClassVar

from medsam_exp.nnunet.label_weight.least import LeastWeight
from medsam_exp.nnunet.weak_label.candidate import Candidate


class PredictedIoU(LeastWeight):
    """The least IoU that SAM expects of any prompt's mask, not below `least`, which a mask without prompts has."""

    needs: ClassVar[str] = "iou_predictions"

    def __call__(self, candidate: Candidate) -> float:
        """Return a weight in [least, 1]."""
        return min(1.0, max(self.least, min(candidate.iou_predictions, default=0.0)))
