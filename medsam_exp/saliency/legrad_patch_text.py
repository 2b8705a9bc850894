"""LeGrad times patch-text cosine: patches that are like the text, where the match depends on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.legrad import LeGrad, attention_gradient
from medsam_exp.saliency.method import frozen, unit
from medsam_exp.saliency.patch_text import patch_cosine


@dataclass(frozen=True)
class LeGradPatchText(LeGrad):
    """Product of `LeGrad` (Bousselham 2024, arXiv 2404.03214) and `PatchText`, each scaled to [0, 1].

    Part of what the product gains over patch-text is not grounding: LeGrad tells where any object is, too.

    Args:
        blocks: how many of the last blocks LeGrad looks at, at least 1; all when the network has fewer.

    Raises:
        UserError: the number makes no sense.
    """

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in [0, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, "LeGrad")
        with frozen(clip), torch.no_grad():
            legrad, entering = attention_gradient(clip, images, text_embedding, self.blocks)
            patches = clip.patch_embeddings(entering)
            return unit(legrad) * unit(patch_cosine(clip, patches, text_embedding))
