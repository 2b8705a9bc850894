"""An image is drawn by how far two masks of its target agree: coarse and final mask, or two readers'."""

from dataclasses import dataclass

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.label_weight.least import check_least
from medsam_exp.nnunet.weak_label.candidate import Candidate


@dataclass(frozen=True)
class Agreement:
    """DSC of the two masks, not below a limit; two empty masks agree.

    Args:
        least: weight, in (0, 1].

    Raises:
        UserError: the limit is outside.
    """

    least: float

    def __post_init__(self) -> None:
        check_least(self.least)

    def __call__(self, candidate: Candidate) -> float:
        """Return a weight in [least, 1].

        Raises:
            UserError: there is no second mask.
        """
        return max(self.least, dice(candidate.mask, candidate.second_mask("label_weight=agreement")))
