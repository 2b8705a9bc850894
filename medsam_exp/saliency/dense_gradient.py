"""Patch-text cosine times the gradient's size: patches that are like the text, where the match depends on them."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gradcam import similarity_gradient
from medsam_exp.saliency.method import SaliencyMethod, frozen, unit
from medsam_exp.saliency.patch_text import patch_cosine


class DenseGradient(SaliencyMethod):
    """Product of `PatchText` and the gradient's length (Simonyan 2014, arXiv 1312.6034), each scaled to [0, 1]; ours.

    For the tokens x_p that enter the last block and s = cos(text, image), the second factor is |ds / dx_p|. The dense
    map says what each patch is by itself, the gradient what the network makes of it; the product asks for both.
    Gradient times input would not do: a block sees a patch through layer normalisation, whose output keeps when the
    patch is scaled, so that x_p ds / dx_p is zero up to rounding where a class token reads.
    """

    needs: ClassVar[Capability | None] = "blocks"

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in [0, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, "dense gradient")
        last = clip.depth - 1
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_entering(images, last)
            dense = patch_cosine(clip, clip.patch_embeddings(tokens), text_embedding)
            with torch.enable_grad():
                tokens.requires_grad_()
                (gradient,) = similarity_gradient(text_embedding, clip.vision_from(tokens, last), [tokens])
            length = gradient.float().norm(dim=-1)[:, clip.prefix_tokens :]
            return unit(dense) * unit(length.unflatten(1, clip.grid))
