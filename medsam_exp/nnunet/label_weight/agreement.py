"""An image is drawn by how far two masks of its target agree: coarse and final mask, or two readers'."""

from typing import ClassVar

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.label_weight.least import LeastWeight
from medsam_exp.nnunet.weak_label.candidate import Candidate


class Agreement(LeastWeight):
    """DSC of the two masks, not below `least`; two empty masks agree."""

    needs: ClassVar[str] = "coarse_mask"

    def __call__(self, candidate: Candidate) -> float:
        """Return a weight in [least, 1]."""
        assert candidate.coarse_mask is not None
        return max(self.least, dice(candidate.mask, candidate.coarse_mask))
