"""Similarity of image and text before and after masking by the saliency map."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.training.embeddings import TextEmbeddings, embed_images
from medsam_exp.training.prediction import ImageBatch
from medsam_exp.types import SaliencyMap


@dataclass
class Faithfulness:
    """Embeds each image as it is and masked by its map: their product, as in M2IB's own evaluation.

    Args:
        clip: the adapter of a CLIP model.
        texts: texts by sample id.
        saliency_map: reads a sample's map (H, W) in [0, 1], original frame; called by several threads at once.
        threads: that read a batch's maps; 0 reads them in this one.
    """

    clip: ClipModel
    texts: Mapping[str, tuple[str, ...]]
    saliency_map: Callable[[str], SaliencyMap]
    threads: int = 0

    def __post_init__(self) -> None:
        self._embeddings = TextEmbeddings(self.clip)

    def __call__(self, batch: ImageBatch) -> Iterator[tuple[str, float, float]]:
        """Each image's cosine similarity of text and image, and of text and masked image.

        Raises:
            UserError: an embedding is not finite.
        """
        ids = batch.padded_ids
        device = batch.images.device
        text = torch.stack([self._embeddings.mean_of(self.texts[name], device) for name in ids])
        size = (batch.images.shape[-2], batch.images.shape[-1])

        def squashed(sample_id: str) -> Tensor:
            return to_network_frame(self.saliency_map(sample_id), size)

        made = dict(zip(batch.ids, map_in_threads(squashed, batch.ids, self.threads), strict=True))
        weights = torch.stack([made[name] for name in ids]).to(batch.images)
        faded = batch.images * weights[:, None]  # 0 is the mean colour of the training images
        original, masked = (
            cosine_similarity(embed_images(self.clip, images, batch.ids), text).tolist()
            for images in (batch.images, faded)
        )
        yield from zip(batch.ids, original, masked, strict=False)


def to_network_frame(saliency_map: SaliencyMap, size: tuple[int, int]) -> Tensor:
    """Squash a map as its image was squashed: (H, W) in [0, 1], original frame, to (h, w) float32 in [0, 1]."""
    whole = torch.from_numpy(saliency_map)[None, None].float()
    squashed = interpolate(whole, size=size, mode="bilinear", align_corners=False, antialias=True)
    return squashed[0, 0].clamp(0, 1)
