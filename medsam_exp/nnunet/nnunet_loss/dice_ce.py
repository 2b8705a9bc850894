"""Dice and cross-entropy: nnU-Net's own loss (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z)."""

from torch import Tensor
from torch.nn import functional

from medsam_exp.nnunet.nnunet_loss.pixel_term import NOTHING_IGNORED


class DiceCE:
    """- log p_y, the mean over the known pixels; p_y is the probability of a pixel's label y."""

    def __call__(self, logits: Tensor, target: Tensor, ignore_label: int = NOTHING_IGNORED) -> Tensor:
        """Return a scalar; see `PixelLoss`."""
        return functional.cross_entropy(logits, target, ignore_index=ignore_label)
