"""Embeddings of image-text pairs under a Lightning Trainer: one fixed batch shape, every pair exactly once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.training.clip_data import AugmentedPairs
from medsam_exp.training.inference_data import batch_loader
from medsam_exp.types import PairSource, RGBImage


@dataclass(frozen=True)
class CaptionedBatch(TensorBatch):
    """Pairs that go through a network together.

    Attributes:
        indices: positions of the n real pairs in their source; the rest of the batch is padding.
        captions: n texts.
        images: (B, 3, h, w) network input; a short batch is padded by repeating its last pair, because results
            are bit-equal from run to run only at one batch shape.
        tokens: (B, L) int64.
    """

    indices: tuple[int, ...]
    captions: tuple[str, ...]
    images: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class EmbeddedPairs:
    """Pairs with their embeddings.

    Attributes:
        indices: positions of n pairs in their source.
        captions: n texts.
        image: (n, D) float32, un-normalised.
        text: (n, D) float32, un-normalised.
    """

    indices: tuple[int, ...]
    captions: tuple[str, ...]
    image: Tensor
    text: Tensor


def pair_loader(
    pairs: PairSource,
    preprocess: Callable[[RGBImage], Tensor],
    tokenize: Callable[[Sequence[str]], Tensor],
    *,
    seed: int,
    batch_size: int,
    **share: int,
) -> DataLoader[CaptionedBatch]:
    """Loader of batches of all pairs: uncropped images, one caption each.

    Args:
        pairs: images and captions by id.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        tokenize: K texts to (K, L) int64.
        seed: with a pair's id it chooses the caption, as for validation while training.
        batch_size: B of every batch.
        share: `workers`, `rank` and `world_size` of `batch_loader`.
    """
    captioned = AugmentedPairs(pairs, pairs.read_image, preprocess, 1.0, seed)
    read = partial(_read_pairs, captioned, tokenize, batch_size)
    return batch_loader(range(len(pairs.ids)), read, batch_size=batch_size, **share)


def _read_pairs(
    pairs: AugmentedPairs,
    tokenize: Callable[[Sequence[str]], Tensor],
    batch_size: int,
    indices: Sequence[int],
) -> CaptionedBatch:
    items = [pairs[0, index] for index in indices]
    images, captions = zip(*items, *items[-1:] * (batch_size - len(items)), strict=True)
    return CaptionedBatch(
        tuple(indices), captions[: len(indices)], torch.stack(images), tokenize(list(captions))
    )


class EmbeddingModule(pl.LightningModule):
    """Embeds images and their texts.

    Args:
        clip: the adapter of a CLIP model.
        save: receives the embeddings of each batch, on the CPU.
    """

    def __init__(self, clip: ClipModel, save: Callable[[EmbeddedPairs], None]) -> None:
        super().__init__()
        self.clip = clip
        self._save = save

    def predict_step(self, batch: CaptionedBatch, *_: Any) -> tuple[int, ...]:
        """Embed one batch and hand over the real pairs; return their positions."""
        real = len(batch.indices)
        image, text = (
            embedding[:real].float().cpu()
            for embedding in (self.clip.encode_image(batch.images), self.clip.encode_text(batch.tokens))
        )
        self._save(EmbeddedPairs(batch.indices, batch.captions, image, text))
        return batch.indices


def in_order(parts: Sequence[EmbeddedPairs], count: int) -> EmbeddedPairs:
    """All pairs in the order of their source, whichever process and batch embedded them.

    Raises:
        RuntimeError: a pair is missing or came twice.
    """
    indices = [index for part in parts for index in part.indices]
    order = sorted(range(len(indices)), key=indices.__getitem__)
    if [indices[position] for position in order] != list(range(count)):
        raise RuntimeError(f"{len(indices)} embeddings came for {count} pairs, and not one for each")
    captions = [caption for part in parts for caption in part.captions]
    return EmbeddedPairs(
        tuple(range(count)),
        tuple(captions[position] for position in order),
        torch.cat([part.image for part in parts])[order],
        torch.cat([part.text for part in parts])[order],
    )
