"""Dice and generalised cross-entropy, which a wrong label pulls less (Zhang and Sabuncu 2018, arXiv:1805.07836)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.nnunet.nnunet_loss.pixel_term import NOTHING_IGNORED, log_likelihood
from medsam_exp.types import UserError


@dataclass(frozen=True)
class DiceGCE:
    """(1 - p_y ** q) / q, the mean over the known pixels; p_y is the probability of a pixel's label y.

    Its gradient is that of the cross-entropy times p_y ** q, so a pixel whose label the network does not believe
    counts little. Towards q = 0 it is the cross-entropy, at q = 1 the mean absolute error.

    Args:
        q: in (0, 1].

    Raises:
        UserError: q is outside.
    """

    q: float

    def __post_init__(self) -> None:
        if not 0 < self.q <= 1:
            raise UserError(
                f"nnunet_loss.q={self.q}, but it must be in (0, 1]; 0 would be nnunet_loss=dice_ce"
            )

    def __call__(self, logits: Tensor, target: Tensor, ignore_label: int = NOTHING_IGNORED) -> Tensor:
        """Return a scalar; see `PixelLoss`."""
        return -torch.expm1(self.q * log_likelihood(logits, target, ignore_label)).mean() / self.q
