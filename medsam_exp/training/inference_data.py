"""Batches for inference: one fixed shape, every image exactly once over all processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.types import Dataset, RGBImage

T = TypeVar("T")

StoredEmbedding = tuple[NDArray[np.float32], tuple[int, int]]
"""A (C, g, g) embedding and the (H, W) of its image."""


@dataclass(frozen=True)
class ImageBatch(TensorBatch):
    """Images that go through a network together.

    Attributes:
        ids: of the real images; may be fewer than B, the rest of the batch is padding.
        sizes: (H, W) of the original frames, one per id.
        images: (B, 3, h, w) network input; a short batch is padded by repeating its last image, because results
            are bit-equal from run to run only at one batch shape.
    """

    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    images: Tensor

    @property
    def padded_ids(self) -> tuple[str, ...]:
        """B ids: the real ones, then the last one repeated."""
        return self.ids + (self.ids[-1],) * (len(self.images) - len(self.ids))


@dataclass(frozen=True)
class EmbeddingBatch(TensorBatch):
    """Stored embeddings of images.

    Attributes:
        ids: of samples.
        sizes: (H, W) of the original frames, one per id.
        embeddings: (C, g, g) float32, one per id.
    """

    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    embeddings: tuple[Tensor, ...]


def image_loader(
    dataset: Dataset,
    sample_ids: Sequence[str],
    preprocess: Callable[[RGBImage], Tensor],
    *,
    batch_size: int,
    **share: int,
) -> DataLoader[ImageBatch]:
    """Loader of batches of images of one shape.

    Args:
        dataset: where the images come from.
        sample_ids: all ids of the job, equal on every process.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        batch_size: B of every batch.
        share: `workers`, `rank` and `world_size` of `batch_loader`.
    """
    read = partial(_read_images, dataset, preprocess, batch_size)
    return batch_loader(sample_ids, read, batch_size=batch_size, **share)


def embedding_loader(
    sample_ids: Sequence[str], read: Callable[[str], StoredEmbedding], **share: int
) -> DataLoader[EmbeddingBatch]:
    """Loader of stored embeddings.

    Args:
        sample_ids: all ids of the job, equal on every process.
        read: sample id to (C, g, g) embedding and (H, W) of the original frame.
        share: `batch_size`, `workers`, `rank` and `world_size` of `batch_loader`.
    """
    return batch_loader(sample_ids, partial(_read_embeddings, read), **share)


def batch_loader(
    items: Sequence[T],
    load: Callable[[Sequence[T]], Any],
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Any]:
    """Loader of this process's share of batches; what is in a batch does not depend on the number of processes.

    Args:
        items: of the whole job, equal on every process.
        load: up to batch_size items to a batch.
        batch_size: items of every batch but the last.
        workers: reading processes; 0 reads in this one.
        rank: number of this process.
        world_size: number of processes; each takes every world_size-th batch.
    """
    starts = range(rank * batch_size, len(items), world_size * batch_size)
    chunks = [items[start : start + batch_size] for start in starts]
    return DataLoader(_Batches(chunks, load), batch_size=None, num_workers=workers)


class _Batches(TorchDataset[Any]):
    """Dataset whose items are batches, so that neither Lightning nor a sampler can split them."""

    def __init__(self, chunks: Sequence[Sequence[T]], load: Callable[[Sequence[T]], Any]) -> None:
        self._chunks, self._load = chunks, load

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: int) -> Any:
        return self._load(self._chunks[index])


def _read_images(
    dataset: Dataset, preprocess: Callable[[RGBImage], Tensor], batch_size: int, ids: Sequence[str]
) -> ImageBatch:
    originals = [dataset.read_image(sample_id) for sample_id in ids]
    inputs = [preprocess(image) for image in originals]
    padding = [inputs[-1]] * (batch_size - len(inputs))
    sizes = tuple((image.shape[0], image.shape[1]) for image in originals)
    return ImageBatch(tuple(ids), sizes, torch.stack(inputs + padding))


def _read_embeddings(read: Callable[[str], StoredEmbedding], ids: Sequence[str]) -> EmbeddingBatch:
    embeddings, sizes = zip(*map(read, ids), strict=True)
    return EmbeddingBatch(tuple(ids), sizes, tuple(map(torch.from_numpy, embeddings)))
