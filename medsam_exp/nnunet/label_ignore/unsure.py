"""Where the network that made a mask is unsure of it, the label is unknown: for a second round of training."""

from dataclasses import dataclass
from typing import ClassVar

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.types import Mask, UserError


@dataclass(frozen=True)
class Unsure:
    """Marks the pixels whose probability of the target lies strictly between two limits.

    Args:
        lower: limit, in [0, 1).
        upper: limit, in (lower, 1].

    Raises:
        UserError: the limits are no such numbers.
    """

    marks: ClassVar[bool] = True
    needs: ClassVar[str] = "probability"

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 1:
            raise UserError(
                f"label_ignore.lower={self.lower} and label_ignore.upper={self.upper}, but probabilities need "
                "0 <= lower < upper <= 1"
            )

    def __call__(self, candidate: Candidate) -> Mask:
        """Return (H, W) bool."""
        assert candidate.probability is not None
        unknown: Mask = (candidate.probability > self.lower) & (candidate.probability < self.upper)
        return unknown
