"""LeGrad: on which patches' attention the match of image and text depends, block by block (Bousselham 2024)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gradcam import similarity_gradient
from medsam_exp.saliency.method import SaliencyMethod, at_least_one, frozen


@dataclass(frozen=True)
class LeGrad(SaliencyMethod):
    """Gradient of the match with respect to the attention of the last blocks (LeGrad, arXiv 2404.03214).

    With A_l the attention of block l and Z_l its output tokens, s_l = cos(text, embedding of Z_l) and
    G_l = max(0, ds_l / dA_l). The relevance is the sum over the last blocks of G_l's mean over heads and queries, read
    for the patches. The embedding of Z_l is pooled as the network pools its last tokens; where it reads a class token,
    the mean over all tokens stands for that, as in LeGrad.

    Where a network pools by attention, A_l is the attention of its pool over Z_l instead. The released code then also
    blanks what an empty text marks strongly; that is not repeated.

    A gradient of s_l needs block l alone, so all of it costs one forward pass and a backward pass of these blocks.

    Args:
        blocks: how many of the last blocks to look at, at least 1; all when the network has fewer.

    Raises:
        UserError: the number makes no sense.
    """

    needs: ClassVar[Capability | None] = "blocks"
    blocks: int = 2

    def __post_init__(self) -> None:
        at_least_one("blocks", self.blocks)

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0, not normalised; see `SaliencyMethod`."""
        clip.require(self.needs, "LeGrad")
        with frozen(clip), torch.no_grad():
            return attention_gradient(clip, images, text_embedding, self.blocks)[0]


def attention_gradient(
    clip: ClipModel, images: Tensor, text_embedding: Tensor, blocks: int
) -> tuple[Tensor, Tensor]:
    """LeGrad of the last blocks, (B, gh, gw) float32, and the tokens (B, T, C) that enter the last one."""
    first = max(0, clip.depth - blocks)
    tokens = entering = clip.vision_entering(images, first)
    legrad = torch.zeros(len(images), *clip.grid, device=images.device)
    for layer in range(first, clip.depth):
        entering = tokens
        with torch.enable_grad():
            after, attention = clip.block(layer).with_attention(tokens.detach().requires_grad_())
            embedding, pooling = clip.pooled(after)
            looked_at = attention if pooling is None else pooling
            (gradient,) = similarity_gradient(text_embedding, embedding, [looked_at])
        gained = gradient.float().relu().mean(dim=(1, 2))[:, clip.prefix_tokens :]
        legrad += gained.unflatten(1, clip.grid)
        tokens = after.detach()
    return legrad, entering
