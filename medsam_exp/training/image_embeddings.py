"""Embeddings of a batch of images, refused where a network in too low a precision gives none."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from medsam_exp.runtime.finite import first_broken_module, refuse_broken_rows


def embed_images(clip: Any, images: Tensor, ids: Sequence[str]) -> Tensor:
    """Un-normalised embeddings (B, D) float32 of preprocessed images (B, 3, h, w), without gradient.

    Args:
        clip: the adapter of a CLIP model.
        images: the last ones may be padding.
        ids: of the images.

    Raises:
        UserError: an embedding is not finite; names the image and where in the network it happened.
    """
    with torch.no_grad():
        embeddings: Tensor = clip.encode_image(images).float()
    refuse_broken_rows(
        embeddings,
        ids,
        "the embedding",
        "CLIP",
        lambda: first_broken_module(clip, lambda: clip.encode_image(images)),
    )
    return embeddings
