"""What every contrastive loss starts from: how alike each image and each text of a batch are."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.types import UserError


def cosine_similarity(image_embedding: Tensor, text_embedding: Tensor) -> Tensor:
    """How alike every image and every text of a batch are.

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


def strangers(logits: Tensor) -> Tensor:
    """Logits (B, B) without the own partner of each row: the diagonal is -inf, so that its exponential is 0."""
    return logits.masked_fill(torch.eye(len(logits), dtype=torch.bool, device=logits.device), -torch.inf)


def require_positive_temperature(temperature: float) -> None:
    """Refuse a fixed temperature that is not above zero.

    Raises:
        UserError: it is not.
    """
    if not temperature > 0:
        raise UserError(f"loss.temperature is {temperature}, but a temperature must be positive.")


def require_hardness(beta_image: float, beta_text: float) -> None:
    """Refuse a hardness below zero, which would weigh easy strangers more than hard ones.

    Raises:
        UserError: one of them is.
    """
    if not min(beta_image, beta_text) >= 0:
        raise UserError(
            f"loss.beta_image is {beta_image} and loss.beta_text {beta_text}, but a hardness cannot be negative."
        )


def _unit(embedding: Tensor) -> Tensor:
    return normalize(embedding if embedding.dtype == torch.float64 else embedding.float(), dim=-1)
