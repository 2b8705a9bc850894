"""An image is drawn by what SAM expects of its mask."""

from medsam_exp.nnunet.label_weight.least import LeastWeight
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import UserError


class PredictedIoU(LeastWeight):
    """The least IoU that SAM expects of any prompt's mask, not below `least`, which a mask without prompts has."""

    def __call__(self, candidate: Candidate) -> float:
        """Return a weight in [least, 1].

        Raises:
            UserError: SAM was not asked for a mask that is not empty.
        """
        if not candidate.iou_predictions and candidate.mask.any():
            raise UserError(
                f"label_weight=predicted_iou needs SAM's masks, but {candidate.sample_id} has none: add sam_mask to "
                "label_stages, or take label_weight=equal"
            )
        return min(1.0, max(self.least, min(candidate.iou_predictions, default=0.0)))
