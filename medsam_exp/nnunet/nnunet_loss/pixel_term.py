"""What each part of nnU-Net's loss beside Dice has in common, and how it is put there."""

from typing import Protocol

import torch
from torch import Tensor, nn

NOTHING_IGNORED = -100
"""Label value that no pixel has."""


class PixelLoss(Protocol):
    """A mean over the pixels whose label is known."""

    def __call__(self, logits: Tensor, target: Tensor, ignore_label: int = NOTHING_IGNORED) -> Tensor:
        """Give a scalar.

        Args:
            logits: (B, K, h, w), of background and classes.
            target: (B, h, w) int64 labels, at least one of them known.
            ignore_label: value of the pixels that do not count.
        """
        ...


def log_likelihood(logits: Tensor, target: Tensor, ignore_label: int) -> Tensor:
    """(N,) float32 or float64 logarithm of the probability of each known pixel's label."""
    log_probability = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(1)
    known = target != ignore_label
    labels = torch.where(known, target, 0)
    return log_probability.gather(1, labels[:, None])[:, 0][known]


class _PixelTerm(nn.Module):
    """A loss as nnU-Net calls its cross-entropy: labels of any integer type."""

    def __init__(self, loss: PixelLoss, ignore_label: int) -> None:
        super().__init__()
        self._loss, self._ignore_label = loss, ignore_label

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar of (B, K, h, w) logits and (B, h, w) labels."""
        return self._loss(logits, target.long(), self._ignore_label)


def replace_cross_entropy(nnunet_loss: nn.Module, loss: PixelLoss) -> None:
    """Put a loss in the place of the cross-entropy in nnU-Net's Dice and cross-entropy, at every resolution.

    Dice, the weights of the resolutions and the value of the ignore label stay nnU-Net's own.

    Args:
        nnunet_loss: its `DeepSupervisionWrapper` of a `DC_and_CE_loss`; changed in place.
        loss: takes the place.
    """
    both = nnunet_loss.loss
    both.ce = _PixelTerm(loss, both.ce.ignore_index)  # type: ignore[union-attr, arg-type]
