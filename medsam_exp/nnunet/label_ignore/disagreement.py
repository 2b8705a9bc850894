"""Where two masks of the same target disagree, the label is unknown: coarse and final mask, or two readers'."""

from typing import ClassVar

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import Mask


class Disagreement:
    """Marks the pixels that one of the two masks has and the other has not."""

    marks: ClassVar[bool] = True

    def __call__(self, candidate: Candidate) -> Mask:
        """Return the symmetric difference, (H, W) bool.

        Raises:
            UserError: there is no second mask.
        """
        unknown: Mask = candidate.mask ^ candidate.second_mask("label_ignore=disagreement")
        return unknown
