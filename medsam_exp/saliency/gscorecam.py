"""gScoreCAM: sensitive channels mask the image, and those whose view still fits the text count (Chen 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gradcam import patch_gradient
from medsam_exp.saliency.method import SaliencyMethod, frozen
from medsam_exp.types import UserError

_SMALLEST_SPREAD = 1e-6  # relative; below it differences are rounding, which scaling to [0, 1] would blow up


@dataclass(frozen=True)
class GScoreCAM(SaliencyMethod):
    """Gradient-guided Score-CAM.

    For the features A (patches p, channels k) after `layer`:

    - the `channels` with the largest mean gradient of the similarity are chosen;
    - each one's map, upsampled to the network's input and scaled to [0, 1], multiplies the preprocessed image, so
      that what it leaves out becomes the training images' mean colour;
    - weights: softmax over the chosen channels of the model's own logits, exp(logit_scale) cos(text, masked image);
      a baseline (the mean-coloured image) would be the same for all channels and cancels;
    - relevance of a patch: max(0, sum over k of w_k A_pk).

    The authors' code differs in two small things: it gives the channels that were not chosen the logit 0 instead of
    leaving them out, and it upsamples with the corners aligned, half a patch away from where the patches are. The
    code released with the first MedCLIP-SAM looks at `blocks[11].norm2` of BiomedCLIP, where the gradient of every
    patch is exactly zero (see `GradCAM`); here the last layer whose patches decide the embedding is the default.

    Args:
        channels: how many channels, at least 1; all when the layer has fewer. Each costs a forward pass per image.
        chunk_size: masked images that go through the network together; bounds the memory, not the result.
        layer: 0-based vision layer after which to look; None for the last one that decides the embedding.

    Raises:
        UserError: a number makes no sense.
    """

    channels: int
    chunk_size: int = 16
    layer: int | None = None

    def __post_init__(self) -> None:
        if self.channels < 1 or self.chunk_size < 1:
            raise UserError(
                "saliency needs channels >= 1 and chunk_size >= 1, but has "
                f"channels={self.channels}, chunk_size={self.chunk_size}."
            )

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0, not normalised; see `SaliencyMethod`."""
        clip.require(self.needs, "gScoreCAM")
        layer = clip.patch_layer(self.layer)
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_prefix(images, layer)
            importance = patch_gradient(clip, tokens, text_embedding, layer).mean(dim=1)
            patches = tokens[:, clip.prefix_tokens :].float()
            chosen = importance.topk(min(self.channels, importance.shape[-1]), dim=-1).indices
            maps = patches.gather(2, chosen[:, None].expand(-1, patches.shape[1], -1))
            maps = maps.transpose(1, 2).unflatten(2, clip.grid_after(layer))
            rows = zip(images, maps, text_embedding, strict=True)
            weights = torch.stack([self._weights(clip, *row) for row in rows])
            result: Tensor = (weights[:, :, None, None] * maps).sum(dim=1).relu()
            return result

    def _weights(self, clip: ClipModel, image: Tensor, maps: Tensor, text_embedding: Tensor) -> Tensor:
        """Weights (K,) of K channels' maps (K, gh, gw) of one image (3, h, w); they sum to 1."""
        scores = []
        for some in maps.split(self.chunk_size):
            masks = unit_masks(some, (image.shape[1], image.shape[2]))
            scores.append(masked_similarity(clip, image, masks, text_embedding))
        return (clip.logit_scale.float().exp() * torch.cat(scores)).softmax(dim=0)


def masked_similarity(clip: ClipModel, image: Tensor, masks: Tensor, text_embedding: Tensor) -> Tensor:
    """Cosine (K,) of a text (D,) with an image (3, h, w) under each of the masks (K, h, w) in [0, 1]."""
    # Through the split tower, because there the last block runs for the class token alone.
    last = clip.layout.last_layer
    masked = (masks[:, None] * image).to(image.dtype)
    embedding = clip.vision_suffix(clip.vision_prefix(masked, last), last)
    return cosine_similarity(text_embedding.float()[None], embedding.float(), dim=-1)


def unit_masks(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, gh, gw) upsampled to (K, h, w) and each scaled to [0, 1]; all zero where a map is constant."""
    flat = maps.amax(dim=(1, 2)) - maps.amin(dim=(1, 2)) <= _SMALLEST_SPREAD * maps.abs().amax(dim=(1, 2))
    large = interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    low, high = large.amin(dim=(1, 2), keepdim=True), large.amax(dim=(1, 2), keepdim=True)
    return ((large - low) / (high - low)).masked_fill(flat[:, None, None], 0)
