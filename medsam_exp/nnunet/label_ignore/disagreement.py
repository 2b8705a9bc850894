"""Where two masks of the same target disagree, the label is unknown: coarse and final mask, or two readers'."""

from typing import ClassVar

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import Mask


class Disagreement:
    """Marks the pixels that one of the two masks has and the other has not."""

    marks: ClassVar[bool] = True
    needs: ClassVar[str] = "coarse_mask"

    def __call__(self, candidate: Candidate) -> Mask:
        """Return the symmetric difference, (H, W) bool."""
        assert candidate.coarse_mask is not None
        unknown: Mask = candidate.mask ^ candidate.coarse_mask
        return unknown
