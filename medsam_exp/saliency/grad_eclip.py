"""Grad-ECLIP: what each patch's value adds to the match, through attention that is not sharpened (Zhao 2024)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gradcam import similarity_gradient
from medsam_exp.saliency.method import SaliencyMethod, frozen, unit


class GradECLIP(SaliencyMethod):
    """Gradient of the match at the last block's attention, times each patch's values (Grad-ECLIP, arXiv 2502.18816).

    For the class token c and the patches p of the last block: o_c is what its heads attend to, g = ds / do_c of the
    match s = cos(text, image), v_p are the values and w_p = cos(q_c, k_p) over all heads, scaled to [0, 1] over the
    patches: attention without its softmax. The relevance of a patch is max(0, sum over channels of g v_p w_p).

    Where the embedding is pooled from the patches, each of them reads as a class token does, with g, w and o of its
    own, and what they add is summed before the maximum; that is ours.

    The authors' code gives the last block a single head in all of this, and takes w of queries and keys that its output
    projection has gone over; here heads are as trained, and q and k as the paper has them.
    """

    needs: ClassVar[Capability | None] = "blocks"

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0, not normalised; see `SaliencyMethod`."""
        clip.require(self.needs, "Grad-ECLIP")
        first, block = clip.prefix_tokens, clip.block(clip.depth - 1)
        readers = slice(0, 1) if clip.layout.reads_class_token else slice(first, None)
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_entering(images, clip.depth - 1)
            query, key, value = block.queries_keys_values(tokens)
            attention = (query.shape[-1] ** -0.5 * query @ key.mT).softmax(dim=-1)
            with torch.enable_grad():
                mixed = (attention @ value).requires_grad_()
                embedding = clip.vision_from(block.after_attention(tokens, mixed), clip.depth)
                (gradient,) = similarity_gradient(text_embedding, embedding, [mixed])
            query, key, value, gradient = (
                part.transpose(1, 2).flatten(2).float() for part in (query, key, value, gradient)
            )
            with torch.autocast(images.device.type, enabled=False):
                near = unit(
                    normalize(query[:, readers], dim=-1) @ normalize(key[:, first:], dim=-1).mT, dim=-1
                )
                added = near * (gradient[:, readers] @ value[:, first:].mT)
            result: Tensor = added.sum(dim=1).relu().unflatten(1, clip.grid)
            return result
