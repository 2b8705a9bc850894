"""Every pixel's label is taken as known, as in the paper."""

from typing import ClassVar

import numpy as np

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import Mask


class NothingUnknown:
    """Marks nothing."""

    marks: ClassVar[bool] = False

    def __call__(self, candidate: Candidate) -> Mask:
        """Return an empty (H, W) bool, whatever the mask."""
        return np.zeros(candidate.mask.shape, bool)
