"""DHN-NCE, decoupled hard-negative noise contrastive estimation: the paper's equations 9 to 13."""

from torch import Tensor

from medsam_exp.clip.loss.contrastive import HardNegativeLoss, hard_negative_logsumexp


class DHNNCE(HardNegativeLoss):
    """Decoupled InfoNCE that weighs negatives by hardness (MedCLIP-SAMv2, arXiv:2409.19483).

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -s_ii / tau + log sum_{j != i} W_ij exp(s_ij / tau) ] from images to texts (equation 9), plus the
    same from texts to images (10), with W_ij = (B - 1) exp(beta s_ij / tau) / sum_{k != i} exp(beta s_ik / tau)
    (12, 13). The paper sums over i; the mean keeps the learning rate independent of the batch's size.

    Arguments are those of `HardNegativeLoss` (beta_1 for images, beta_2 for texts); with a hardness of 0 it is DCL.

    Example:
        >>> import torch
        >>> from medsam_exp import DHNNCE
        >>> loss, images = DHNNCE(temperature=0.6, beta_image=0.15, beta_text=0.15), torch.eye(4)
        >>> bool(loss(images, images) < loss(images, images.roll(1, 0)))
        True
    """

    def one_direction(self, logits: Tensor, beta: float) -> Tensor:
        """Loss (B,) of each row of (B, B) logits."""
        return hard_negative_logsumexp(logits, beta) - logits.diagonal()
