"""An image is drawn by what SAM expects of its mask."""

from dataclasses import dataclass

from medsam_exp.nnunet.label_weight.least import check_least
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import UserError


@dataclass(frozen=True)
class PredictedIoU:
    """The least IoU that SAM expects of any prompt's mask, not below a limit.

    Args:
        least: weight, in (0, 1]; a mask that no prompt was made for has it too.

    Raises:
        UserError: the limit is outside.
    """

    least: float

    def __post_init__(self) -> None:
        check_least(self.least)

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
