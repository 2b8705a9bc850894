"""Attention rollout: where the vision tower looks, whatever the text says (Abnar and Zuidema 2020)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod, frozen


class AttentionRollout(SaliencyMethod):
    """Product of attention matrices from the embedding back to the patches; independent of the text.

    With A_l the attention of block l averaged over its heads, each block passes on (A_l + 1) / 2, the half for its
    residual path, and the product over all blocks says how much of each output token stems from each patch. Read
    for the class token; where the embedding is pooled from the patches instead, averaged over them.
    """

    uses_text: ClassVar[bool] = False
    needs: ClassVar[Capability | None] = "attention"

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0, with the other tokens' share summing to 1; see `SaliencyMethod`."""
        clip.require(self.needs, "attention rollout")
        with frozen(clip), torch.no_grad():
            _, attention = clip.vision_attention(images)
            passed = torch.eye(attention[0].shape[-1], device=images.device)[None]
            for paid in attention:
                passed = (paid.float().mean(dim=1) @ passed + passed) / 2
            return read_out(clip, passed)


def read_out(clip: ClipModel, passed: Tensor) -> Tensor:
    """The patches' share (B, gh, gw) in what makes the embedding, of (B, T, T): rows by output, columns by input."""
    first = clip.prefix_tokens
    rows = passed[:, :1] if clip.layout.reads_class_token else passed[:, first:]
    result: Tensor = rows.mean(dim=1)[:, first:].unflatten(1, clip.grid)
    return result
