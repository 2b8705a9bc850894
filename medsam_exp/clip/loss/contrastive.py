"""The core that all contrastive losses share: cosine similarity, negatives, and hard-negative weighting."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from medsam_exp.types import UserError


def cosine_similarity(image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
    """Cosine similarity of every image with every text of a batch.

    Computed in float32 (or float64 if given), also inside autocast: at temperature 0.01 the rounding of
    bfloat16 would change the loss visibly.

    Args:
        image_embedding: (B, D), any length.
        text_embedding: (B, D), any length; row i belongs to image i.

    Returns:
        (B, B) cosine of image i (row) and text j (column), in [-1, 1].

    Raises:
        UserError: fewer than two pairs, so that there is nothing to contrast, or unequal shapes.
    """
    if image_embedding.shape != text_embedding.shape or image_embedding.ndim != 2:
        raise UserError(
            "A contrastive loss takes two (B, D) embeddings of one shape, but got "
            f"{tuple(image_embedding.shape)} for images and {tuple(text_embedding.shape)} for texts."
        )
    if len(image_embedding) < 2:
        raise UserError(
            "A contrastive loss needs at least two image-text pairs in a batch, but got "
            f"{len(image_embedding)}: use a larger batch_size."
        )
    with torch.autocast(image_embedding.device.type, enabled=False):
        return _unit(image_embedding) @ _unit(text_embedding).T


def negatives(logits: Tensor) -> Tensor:
    """Logits (B, B) of the negatives: the diagonal (positives) is -inf, so that its exponential is 0."""
    return logits.masked_fill(torch.eye(len(logits), dtype=torch.bool, device=logits.device), -torch.inf)


def hard_negative_logsumexp(logits: Tensor, beta: float) -> Tensor:
    """Log-sum-exp of each row's negatives, weighted by hardness (Robinson 2021, arXiv:2010.04592).

    log sum_{j != i} W_ij exp(l_ij) with W_ij = (B - 1) exp(beta l_ij) / sum_{k != i} exp(beta l_ik), of which
    the mean over j != i is 1; the sums are taken in the logarithm, so that no temperature overflows.

    Args:
        logits: (B, B), positives on the diagonal.
        beta: hardness >= 0; 0 weighs all negatives equally.

    Returns:
        (B,).
    """
    weighted = negatives((1 + beta) * logits).logsumexp(1)
    return weighted + math.log(len(logits) - 1) - negatives(beta * logits).logsumexp(1)


class FixedTemperatureLoss(nn.Module):
    """Base of the losses at a fixed temperature.

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.

    Raises:
        UserError: the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise UserError(f"loss.temperature is {temperature}, but a temperature must be positive.")
        self.temperature = temperature

    def logits(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Cosine similarities over the temperature (B, B) of un-normalised (B, D) embeddings."""
        return cosine_similarity(image_embedding, text_embedding) / self.temperature


class HardNegativeLoss(FixedTemperatureLoss, ABC):
    """Base of the losses that weigh negatives by hardness, from images to texts plus from texts to images.

    Args:
        temperature: tau > 0; small values look at the hardest pairs only.
        beta_image: hardness >= 0 of an image's negative texts; 0 weighs them equally.
        beta_text: hardness >= 0 of a text's negative images.

    Raises:
        UserError: a value is out of its range.
    """

    def __init__(self, temperature: float, beta_image: float, beta_text: float) -> None:
        super().__init__(temperature)
        if not min(beta_image, beta_text) >= 0:
            raise UserError(
                f"loss.beta_image is {beta_image} and loss.beta_text {beta_text}, but a hardness cannot be negative."
            )
        self.beta_image, self.beta_text = beta_image, beta_text

    def forward(self, image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
        """Return the scalar loss of B matching pairs of un-normalised (B, D) embeddings, B >= 2."""
        logits = self.logits(image_embedding, text_embedding)
        image_to_text = self.one_direction(logits, self.beta_image)
        text_to_image = self.one_direction(logits.T, self.beta_text)
        return (image_to_text + text_to_image).mean()

    @abstractmethod
    def one_direction(self, logits: Tensor, beta: float) -> Tensor:
        """Loss of each row of (B, B) logits (B,), or their mean."""


def _unit(embedding: Tensor) -> Tensor:
    return normalize(embedding if embedding.dtype == torch.float64 else embedding.float(), dim=-1)
