"""Dice and symmetric cross-entropy, part of which bears wrong labels (Wang et al. 2019, arXiv:1908.06112)."""

import math
from dataclasses import dataclass

from torch import Tensor

from medsam_exp.nnunet.nnunet_loss.pixel_term import NOTHING_IGNORED, log_likelihood
from medsam_exp.types import UserError


@dataclass(frozen=True)
class DiceSCE:
    """alpha * CE + beta * RCE, the mean over the known pixels.

    CE is - log p_y. RCE has the two sides exchanged, - sum_k p_k log t_k, where t is 1 at the label and, so that the
    logarithm exists, `smallest_target` elsewhere; that is - log(smallest_target) * (1 - p_y).

    Args:
        alpha: weight of the cross-entropy, at least 0.
        beta: weight of the reverse cross-entropy, at least 0.
        smallest_target: in (0, 1).

    Raises:
        UserError: a number is outside, or both weights are 0.
    """

    alpha: float
    beta: float
    smallest_target: float

    def __post_init__(self) -> None:
        if min(self.alpha, self.beta) < 0 or self.alpha + self.beta == 0:
            raise UserError(
                f"nnunet_loss.alpha={self.alpha} and nnunet_loss.beta={self.beta} are weights: give numbers of at "
                "least 0, not both 0"
            )
        if not 0 < self.smallest_target < 1:
            raise UserError(f"nnunet_loss.smallest_target={self.smallest_target}, but it must be in (0, 1)")

    def __call__(self, logits: Tensor, target: Tensor, ignore_label: int = NOTHING_IGNORED) -> Tensor:
        """Return a scalar; see `PixelLoss`."""
        logarithm = log_likelihood(logits, target, ignore_label)
        reverse = -math.log(self.smallest_target) * -logarithm.expm1().mean()
        return -self.alpha * logarithm.mean() + self.beta * reverse
