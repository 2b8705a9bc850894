"""An image is drawn by how far two masks of its target agree: coarse and final mask, or two readers'."""

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.label_weight.least import LeastWeight
from medsam_exp.nnunet.weak_label.candidate import Candidate


class Agreement(LeastWeight):
    """DSC of the two masks, not below `least`; two empty masks agree."""

    def __call__(self, candidate: Candidate) -> float:
        """Return a weight in [least, 1].

        Raises:
            UserError: there is no second mask.
        """
        return max(self.least, dice(candidate.mask, candidate.second_mask("label_weight=agreement")))
