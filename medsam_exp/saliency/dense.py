"""Patches that attend to their likes: what methods share that replace attention to read patches by themselves."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.blocks import PlainBlock
from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod, frozen
from medsam_exp.saliency.patch_text import patch_cosine


class DenseMethod(SaliencyMethod):
    """Base: cosine of the text and each patch by itself, after a last layer in which patches attend otherwise.

    A subclass says how the tokens after the last layer are made. Each patch is then normed, pooled and projected as if
    the image held nothing else, so that networks with a class token and those that pool their patches are served alike.
    """

    needs: ClassVar[Capability | None] = "blocks"

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """Tokens (B, T, C) of images (B, 3, h, w), in the place of those after the last layer."""
        raise NotImplementedError

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in [-1, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, type(self).__name__)
        with frozen(clip), torch.no_grad():
            return patch_cosine(clip, clip.embedded_alone(self.tokens(clip, images)), text_embedding)


def likeness(vectors: Tensor) -> Tensor:
    """Scaled dot products (B, heads, T, T), as in attention, of vectors (B, heads, T, C / heads) with each other."""
    result: Tensor = vectors.shape[-1] ** -0.5 * vectors @ vectors.mT
    return result


def side_path(
    clip: ClipModel, images: Tensor, blocks: int, mixed: Callable[[PlainBlock, Tensor], Tensor]
) -> Tensor:
    """Tokens (B, T, C) of a path beside the last blocks: residual, another attention, no MLP.

    The network's own path goes on unchanged, and each block's attention on the side path is made of its tokens.

    Args:
        clip: in evaluation mode.
        images: (B, 3, h, w).
        blocks: how many of the last ones the side path passes; all when there are fewer.
        mixed: of a block and the tokens that enter it, what its heads' tokens attend to (B, heads, T, C / heads).
    """
    first = max(0, clip.depth - blocks)
    tokens = side = clip.vision_entering(images, first)
    for layer in range(first, clip.depth):
        block = clip.block(layer)
        side = side + block.attended(mixed(block, tokens))
        tokens = block(tokens)
    return side
