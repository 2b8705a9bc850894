"""Patch-text cosine: how near each patch lies to the text, from one forward pass (MaskCLIP, Zhou 2022)."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod, frozen


class PatchText(SaliencyMethod):
    """Cosine similarity of the text with the embedding of each patch by itself.

    With head(.) the network's final norm and projection, the relevance of patch p is cos(text, head(z_p)):

    - where the embedding is pooled from the patches, z_p is the patch after the last block;
    - where it is read from a class token, the last block was never trained to bring a patch near the text. As in
      MaskCLIP (arXiv 2112.01071), its attention gives way to its value path there: each patch attends to itself
      alone, z_p = y_p + mlp(norm(y_p)) with y_p = x_p + proj(v_p), for the tokens x and values v of the block.

    Example:
        >>> from medsam_exp import PhantomDataset, load_clip
        >>> from medsam_exp.saliency import PatchText
        >>> clip, scans = load_clip("tiny"), PhantomDataset(seed=2, count=1)
        >>> scan = scans.samples[0]
        >>> images = clip.preprocess(scans.read_image(scan.id))[None]
        >>> texts = clip.encode_text(clip.tokenize([scan.description]))
        >>> tuple(PatchText()(clip, images, texts, [])[0].shape)
        (12, 12)
    """

    needs: ClassVar[Capability | None] = "blocks"

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in [-1, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, "patch-text cosine")
        with frozen(clip), torch.no_grad():
            patches = clip.patch_embeddings(clip.vision_entering(images, clip.depth - 1))
            return patch_cosine(clip, patches, text_embedding)


def patch_cosine(clip: ClipModel, patches: Tensor, text_embedding: Tensor) -> Tensor:
    """Cosine (B, gh, gw) float32 of embedded patches (B, gh * gw, D) and texts (B, D)."""
    cosine = cosine_similarity(patches.float(), text_embedding.float()[:, None], dim=-1)
    result: Tensor = cosine.unflatten(1, clip.grid)
    return result
