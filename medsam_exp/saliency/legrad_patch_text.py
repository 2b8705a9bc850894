"""LeGrad times patch-text cosine: patches that are like the text, where the match depends on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gradcam import similarity_gradient
from medsam_exp.saliency.method import SaliencyMethod, frozen
from medsam_exp.saliency.patch_text import patch_cosine
from medsam_exp.types import UserError


@dataclass(frozen=True)
class LeGradPatchText(SaliencyMethod):
    """Product of LeGrad (Bousselham 2024, arXiv 2404.03214) and `PatchText`, each scaled to [0, 1].

    With A_l the attention of block l and Z_l its output tokens, s_l = cos(text, embedding of Z_l) and
    G_l = max(0, ds_l / dA_l). LeGrad is the sum over the last blocks of G_l's mean over heads and queries, read for
    the patches. The embedding of Z_l is pooled as the network pools its last tokens; where it reads a class token, the
    mean over all tokens stands for that, as in LeGrad.

    A gradient of s_l needs block l alone, so all of it costs one forward pass and a backward pass of these blocks.
    Part of what the product gains over patch-text is not grounding: LeGrad tells where any object is, too.

    Args:
        blocks: how many of the last blocks LeGrad looks at, at least 1; all when the network has fewer.

    Raises:
        UserError: the number makes no sense.
    """

    needs: ClassVar[Capability | None] = "attention"
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise UserError(f"saliency.blocks must be at least 1, but is {self.blocks}.")

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in [0, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, "LeGrad")
        first = max(0, clip.depth - self.blocks)
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_entering(images, first)
            legrad = torch.zeros(len(images), *clip.grid, device=images.device)
            for layer in range(first, clip.depth):
                entering = tokens
                tokens, gained = _layer_relevance(clip, tokens, text_embedding, layer)
                legrad += gained
            result: Tensor = _unit(legrad) * _unit(patch_cosine(clip, entering, text_embedding))
            return result


def _layer_relevance(
    clip: ClipModel, tokens: Tensor, text_embedding: Tensor, layer: int
) -> tuple[Tensor, Tensor]:
    """Tokens (B, T, C) after a layer, and what each patch's attention there gains the match, (B, gh, gw) float32."""
    with torch.enable_grad():
        tokens, attention = clip.layer_attention(tokens.detach().requires_grad_(), layer)
        (gradient,) = similarity_gradient(text_embedding, clip.pooled(tokens), [attention])
    gained = gradient.float().relu().mean(dim=(1, 2))[:, clip.prefix_tokens :]
    return tokens.detach(), gained.unflatten(1, clip.grid)


def _unit(relevance: Tensor) -> Tensor:
    """Each grid of (B, gh, gw) scaled to [0, 1]; all zero where it is constant."""
    low, high = (bound(relevance, dim=(1, 2), keepdim=True) for bound in (torch.amin, torch.amax))
    return (relevance - low) / (high - low).where(high > low, 1)
