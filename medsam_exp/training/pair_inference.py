"""Embeddings of image-text pairs."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.training.clip_data import AugmentedPairs
from medsam_exp.types import PairSource


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


def pair_reader(
    pairs: PairSource, clip: ClipModel, seed: int, batch_size: int
) -> Callable[[Sequence[int]], CaptionedBatch]:
    """Makes batches of pairs, by position: uncropped images, one caption each.

    Args:
        pairs: images and captions by id.
        clip: preprocesses and tokenizes.
        seed: with a pair's id it chooses the caption, as for validation while training.
        batch_size: B of every batch.
    """
    captioned = AugmentedPairs(pairs, pairs.read_image, clip.preprocess, 1.0, seed)
    one_at_a_time = threading.Lock()  # tokenizers of the Hugging Face refuse to serve several threads

    def read(indices: Sequence[int]) -> CaptionedBatch:
        items = [captioned[0, index] for index in indices]
        images, captions = zip(*items, *items[-1:] * (batch_size - len(items)), strict=True)
        with one_at_a_time:
            tokens = clip.tokenize(list(captions))
        return CaptionedBatch(tuple(indices), captions[: len(indices)], torch.stack(images), tokens)

    return read


def embed_pairs(clip: ClipModel, batch: CaptionedBatch) -> EmbeddedPairs:
    """Embed the real pairs of a batch; the result is on the CPU."""
    real = len(batch.indices)
    image, text = (
        embedding[:real].float().cpu()
        for embedding in (clip.encode_image(batch.images), clip.encode_text(batch.tokens))
    )
    return EmbeddedPairs(batch.indices, batch.captions, image, text)


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
