"""HN-NCE, InfoNCE with hard negatives (Radenovic 2023, arXiv:2301.02280): one of the paper's baselines."""

import torch
from torch import Tensor

from medsam_exp.clip.loss.contrastive import HardNegativeLoss, hard_negative_logsumexp


class HNNCE(HardNegativeLoss):
    """InfoNCE in which negatives count the more the closer they are.

    With s_ij the cosine of image i and text j, tau the temperature, and the weights of the paper's equations 12
    and 13, W_ij = (B - 1) exp(beta s_ij / tau) / sum_{k != i} exp(beta s_ik / tau):
    L = mean_i [ -s_ii / tau + log(exp(s_ii / tau) + sum_{j != i} W_ij exp(s_ij / tau)) ] from images to texts, plus
    the same from texts to images.

    Arguments are those of `HardNegativeLoss`; with a hardness of 0 it is InfoNCE.
    """

    def one_direction(self, logits: Tensor, beta: float) -> Tensor:
        """Loss (B,) of each row of (B, B) logits."""
        positives = logits.diagonal()
        return torch.logaddexp(positives, hard_negative_logsumexp(logits, beta)) - positives
