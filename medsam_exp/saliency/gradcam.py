"""Grad-CAM: which features a small change would bring image and text closer together (Selvaraju 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod, frozen


@dataclass(frozen=True)
class GradCAM(SaliencyMethod):
    """Gradient-weighted class activation map of the match of image and text.

    For the features A (patches p, channels k) after `layer`, and the similarity s = cos(text, image):

    - weight of a channel: w_k = mean over p of ds / dA_pk;
    - relevance of a patch: max(0, sum over k of w_k A_pk).

    Works on vision transformers (patches, without class token) and on convolutional feature maps. Where a
    transformer reads its embedding from the class token, nothing that its last block does to the patches reaches the
    embedding: their gradient is exactly zero there, so the last useful layer is the one before.

    Args:
        layer: 0-based vision layer after which to look; None for the last one that decides the embedding.

    Example:
        >>> from medsam_exp import GradCAM, PhantomDataset, load_clip
        >>> clip, scans = load_clip("tiny"), PhantomDataset(seed=2, count=1)
        >>> scan = scans.samples[0]
        >>> images = clip.preprocess(scans.read_image(scan.id))[None]
        >>> texts = clip.encode_text(clip.tokenize([scan.description]))
        >>> tuple(GradCAM()(clip, images, texts, [])[0].shape)
        (12, 12)
    """

    layer: int | None = None

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0, not normalised; see `SaliencyMethod`."""
        clip.require(self.needs, "Grad-CAM")
        layer = clip.patch_layer(self.layer)
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_prefix(images, layer)
            gradient = patch_gradient(clip, tokens, text_embedding, layer)
            patches = tokens[:, clip.prefix_tokens :].float()
            relevance = (gradient.mean(dim=1, keepdim=True) * patches).sum(dim=-1).relu()
            result: Tensor = relevance.unflatten(1, clip.grid_after(layer))
            return result


def patch_gradient(clip: ClipModel, tokens: Tensor, text_embedding: Tensor, layer: int) -> Tensor:
    """Gradient of each image's similarity with its text, with respect to its own patches.

    Args:
        clip: in evaluation mode.
        tokens: (B, T, C) after `layer`.
        text_embedding: (B, D).
        layer: 0-based.

    Returns:
        (B, gh * gw, C) float32.
    """
    with torch.enable_grad():
        tokens = tokens.detach().requires_grad_()
        (gradient,) = similarity_gradient(text_embedding, clip.vision_suffix(tokens, layer), [tokens])
    return gradient[:, clip.prefix_tokens :].float()


def similarity_gradient(
    text_embedding: Tensor, image_embedding: Tensor, inputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradient of the cosine similarity of images and their texts with respect to each of `inputs`.

    Args:
        text_embedding: (B, D), any length.
        image_embedding: (B, D), any length, computed from `inputs`; row i belongs to text i.
        inputs: to differentiate by, rows by image, so that each image's gradient is its own.
    """
    similarity = cosine_similarity(text_embedding.float(), image_embedding.float(), dim=-1)
    return torch.autograd.grad(similarity.sum(), inputs)
