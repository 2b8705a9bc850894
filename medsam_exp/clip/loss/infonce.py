"""InfoNCE, CLIP's training loss, at a fixed temperature (arXiv:1807.03748, arXiv:2103.00020)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from medsam_exp.clip.loss.contrastive import FixedTemperatureLoss


class InfoNCE(FixedTemperatureLoss):
    """Cross-entropy of picking each image's text among the batch's texts, plus that of each text's image.

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -2 s_ii / tau + log sum_j exp(s_ij / tau) + log sum_j exp(s_ji / tau) ].
    Many implementations take half of this sum of both directions.

    Arguments are those of `FixedTemperatureLoss`.

    Example:
        >>> import torch
        >>> from medsam_exp import InfoNCE
        >>> loss, images = InfoNCE(temperature=0.6), torch.eye(4)
        >>> bool(loss(images, images) < loss(images, images.roll(1, 0)))
        True
    """

    def forward(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        return symmetric_cross_entropy(self.logits(image_embedding, text_embedding))


def symmetric_cross_entropy(logits: Tensor) -> Tensor:
    """Cross-entropy of the diagonal of (B, B) logits along rows plus along columns, mean over the batch."""
    positives = torch.arange(len(logits), device=logits.device)
    with torch.autocast(logits.device.type, enabled=False):
        return cross_entropy(logits, positives) + cross_entropy(logits.T, positives)
