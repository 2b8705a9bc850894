"""InfoNCE, the loss CLIP was trained with (van den Oord 2018; Radford 2021), at a fixed temperature."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from medsam_exp.clip.loss.similarity import cosine_similarity, require_positive_temperature


@dataclass(frozen=True)
class InfoNCE:
    """Each image must find its own text among the batch's texts, and each text its own image.

    With s_ij the cosine of image i and text j, and tau the temperature:
    L = mean_i [ -2 s_ii / tau + log sum_j exp(s_ij / tau) + log sum_j exp(s_ji / tau) ].

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.

    Raises:
        UserError: the temperature is not positive.
    """

    temperature: float

    def __post_init__(self) -> None:
        require_positive_temperature(self.temperature)

    def __call__(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        return both_directions(cosine_similarity(image_embedding, text_embedding) / self.temperature)


def both_directions(logits: Tensor) -> Tensor:
    """Cross entropy of the diagonal of (B, B) logits along rows plus along columns, mean over the batch."""
    own = torch.arange(len(logits), device=logits.device)
    with torch.autocast(logits.device.type, enabled=False):
        return cross_entropy(logits, own) + cross_entropy(logits.T, own)
