"""Similarity of image and text before and after masking by the saliency map, under a Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from medsam_exp.clip.model import ClipModel
from medsam_exp.training.embeddings import TextEmbeddings, embed_images
from medsam_exp.training.inference_data import ImageBatch
from medsam_exp.types import SaliencyMap


class FaithfulnessModule(pl.LightningModule):
    """Embeds each image as it is and masked by its map.

    Args:
        clip: the adapter of a CLIP model.
        texts: texts by sample id.
        saliency_map: reads a sample's map (H, W) in [0, 1], original frame.
        save: receives (sample id, cosine similarity of text and image, of text and masked image).
    """

    def __init__(
        self,
        clip: ClipModel,
        texts: Mapping[str, tuple[str, ...]],
        saliency_map: Callable[[str], SaliencyMap],
        save: Callable[[str, float, float], None],
    ) -> None:
        super().__init__()
        self.clip = clip
        self._texts, self._saliency_map, self._save = texts, saliency_map, save
        self._embeddings = TextEmbeddings(clip)

    def predict_step(self, batch: ImageBatch, *_: Any) -> tuple[str, ...]:
        """Compute and save both similarities of each image of one batch; return its ids.

        Raises:
            UserError: an embedding is not finite.
        """
        ids = batch.padded_ids
        text = torch.stack([self._embeddings.mean_of(self._texts[name], self.device) for name in ids])
        maps = {name: self._saliency_map(name) for name in batch.ids}
        size = (batch.images.shape[-2], batch.images.shape[-1])
        weights = torch.stack([to_network_frame(maps[name], size) for name in ids]).to(batch.images)
        original, masked = (
            cosine_similarity(embed_images(self.clip, images, batch.ids), text).tolist()
            for images in (batch.images, mask_images(batch.images, weights))
        )
        for sample_id, before, after in zip(batch.ids, original, masked, strict=False):
            self._save(sample_id, before, after)
        return batch.ids


def mask_images(images: Tensor, weights: Tensor) -> Tensor:
    """Fade images to the mean colour of the network's training images where a map is dark.

    Args:
        images: (B, 3, h, w), preprocessed, so that 0 is that mean.
        weights: (B, h, w) in [0, 1].

    Returns:
        (B, 3, h, w); the product, as in M2IB's own evaluation.
    """
    return images * weights[:, None]


def to_network_frame(saliency_map: SaliencyMap, size: tuple[int, int]) -> Tensor:
    """Squash a map as its image was squashed: (H, W) in [0, 1], original frame, to (h, w) float32 in [0, 1]."""
    whole = torch.from_numpy(saliency_map)[None, None].float()
    squashed = interpolate(whole, size=size, mode="bilinear", align_corners=False, antialias=True)
    return squashed[0, 0].clamp(0, 1)
