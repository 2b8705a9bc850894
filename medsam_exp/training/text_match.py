"""Text match of batches of images, each with several masks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.text_match.contrast import EMPTY, TextMatch
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.training.embeddings import TextEmbeddings, embed_images
from medsam_exp.types import Mask, RGBImage


@dataclass(frozen=True)
class ViewBatch(TensorBatch):
    """What masks cover of images.

    Attributes:
        ids: of the real images; may be fewer than B, the rest of the batch is padding.
        empty: by image, which of its masks are empty; the whole image stands for what they cover.
        views: (B, L, 3, h, w) network input, of L masks an image.
    """

    ids: tuple[str, ...]
    empty: tuple[tuple[bool, ...], ...]
    views: Tensor


@dataclass
class TextMatches:
    """Scores the masks of images by a `TextMatch`.

    Args:
        clip: the adapter of a CLIP model.
        text_match: the score.
        texts: texts by sample id; the embeddings of several are averaged.
        read_image: an image (H, W, 3) uint8 by a sample's id.
        masks: each image's masks (H, W) by a sample's id, equally many of all.
        batch_size: B.
    """

    clip: ClipModel
    text_match: TextMatch
    texts: Mapping[str, tuple[str, ...]]
    read_image: Callable[[str], RGBImage]
    masks: Callable[[str], Sequence[Mask]]
    batch_size: int

    def __post_init__(self) -> None:
        self._embedded = TextEmbeddings(self.clip)

    def read(self, ids: Sequence[str]) -> ViewBatch:
        """What the masks of up to B images cover; called by several threads at once."""
        found, empty = [], []
        for sample_id in ids:
            image, masks = self.read_image(sample_id), self.masks(sample_id)
            views = [self.text_match.view(image, mask) if mask.any() else image for mask in masks]
            found.append(torch.stack(list(map(self.clip.preprocess, views))))
            empty.append(tuple(not mask.any() for mask in masks))
        padding = [found[-1]] * (self.batch_size - len(found))
        return ViewBatch(tuple(ids), tuple(empty), torch.stack(found + padding))

    def __call__(self, batch: ViewBatch) -> Iterator[tuple[str, list[float]]]:
        """Each image's scores, one a mask.

        Raises:
            UserError: an embedding is not finite.
        """
        count, device = batch.views.shape[1], batch.views.device
        owners = [sample_id for sample_id in batch.ids for _ in range(count)]
        embeddings = embed_images(self.clip, batch.views.flatten(0, 1), owners).unflatten(0, (-1, count))
        controls = torch.stack(
            [self._embedded.mean_of((text,), device) for text in self.text_match.control_texts]
        )
        for sample_id, empty, own in zip(batch.ids, batch.empty, embeddings, strict=False):
            text = self._embedded.mean_of(self.texts[sample_id], device)
            scores = self.text_match.scores(own, text, controls).tolist()
            yield sample_id, [EMPTY if none else score for none, score in zip(empty, scores, strict=True)]
