"""HN-NCE, InfoNCE with hard negatives (Radenovic 2023; Robinson 2021): one of the paper's baselines."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.loss.similarity import (
    cosine_similarity,
    require_hardness,
    require_positive_temperature,
    strangers,
)


@dataclass(frozen=True)
class HNNCE:
    """InfoNCE in which strangers count the more the closer they are.

    With s_ij the cosine of image i and text j, tau the temperature, and the weights of the paper's equations 12
    and 13, W_ij = (B - 1) exp(beta s_ij / tau) / sum_{k != i} exp(beta s_ik / tau):
    L = mean_i [ -s_ii / tau + log(exp(s_ii / tau) + sum_{j != i} W_ij exp(s_ij / tau)) ] from images to texts, plus
    the same from texts to images.

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.
        beta_image: hardness >= 0 of strange texts for an image; 0 weighs them equally (InfoNCE).
        beta_text: hardness >= 0 of strange images for a text.

    Raises:
        UserError: a value is out of its range.
    """

    temperature: float
    beta_image: float
    beta_text: float

    def __post_init__(self) -> None:
        require_positive_temperature(self.temperature)
        require_hardness(self.beta_image, self.beta_text)

    def __call__(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = cosine_similarity(image_embedding, text_embedding) / self.temperature
        return (_one_direction(logits, self.beta_image) + _one_direction(logits.T, self.beta_text)).mean()


def hard_strangers(logits: Tensor, beta: float) -> Tensor:
    """For each row of (B, B) logits the logarithm (B,) of its strangers' exponentials, weighted by hardness.

    log sum_{j != i} W_ij exp(l_ij) with W_ij = (B - 1) exp(beta l_ij) / sum_{k != i} exp(beta l_ik), of which
    the mean over j != i is 1; the sums are taken in the logarithm, so that no temperature overflows.
    """
    weighted = strangers((1 + beta) * logits).logsumexp(1)
    return weighted + math.log(len(logits) - 1) - strangers(beta * logits).logsumexp(1)


def _one_direction(logits: Tensor, beta: float) -> Tensor:
    """Loss (B,) of each row of (B, B) logits."""
    own = logits.diagonal()
    return torch.logaddexp(own, hard_strangers(logits, beta)) - own
