"""Batches of whole images for inference: one fixed shape, every image exactly once over all processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.types import Dataset, RGBImage

T = TypeVar("T")

StoredEmbedding = tuple[NDArray[np.float32], tuple[int, int]]
"""A (C, g, g) embedding and the (H, W) of its image."""


@dataclass(frozen=True)
class ImageBatch:
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

    def to(self, device: torch.device) -> "ImageBatch":
        """The same with its images on a device."""
        return ImageBatch(self.ids, self.sizes, self.images.to(device, non_blocking=True))


@dataclass(frozen=True)
class EmbeddingBatch:
    """Stored embeddings of images.

    Attributes:
        ids: of samples.
        sizes: (H, W) of the original frames, one per id.
        embeddings: (C, g, g) float32, one per id.
    """

    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    embeddings: tuple[Tensor, ...]

    def to(self, device: torch.device) -> "EmbeddingBatch":
        """The same with its embeddings on a device."""
        moved = tuple(embedding.to(device, non_blocking=True) for embedding in self.embeddings)
        return EmbeddingBatch(self.ids, self.sizes, moved)


class _Batches(TorchDataset[ImageBatch]):
    """Whole batches, so that neither Lightning nor a sampler can take them apart."""

    def __init__(
        self,
        dataset: Dataset,
        chunks: Sequence[Sequence[str]],
        preprocess: Callable[[RGBImage], Tensor],
        batch_size: int,
    ) -> None:
        self._dataset, self._chunks = dataset, chunks
        self._preprocess, self._batch_size = preprocess, batch_size

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: int) -> ImageBatch:
        ids = tuple(self._chunks[index])
        originals = [self._dataset.read_image(sample_id) for sample_id in ids]
        inputs = [self._preprocess(image) for image in originals]
        padding = [inputs[-1]] * (self._batch_size - len(inputs))
        sizes = tuple((image.shape[0], image.shape[1]) for image in originals)
        return ImageBatch(ids, sizes, torch.stack(inputs + padding))


def image_loader(
    dataset: Dataset,
    sample_ids: Sequence[str],
    preprocess: Callable[[RGBImage], Tensor],
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[ImageBatch]:
    """Loader of batches over this process's share of `sample_ids`.

    Args:
        dataset: where the images come from.
        sample_ids: all ids of the job, equal on every process.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        batch_size: B of every batch.
        workers: reading processes; 0 reads in this one.
        rank: number of this process.
        world_size: number of processes; each takes every world_size-th batch.
    """
    chunks = batches_of_process(sample_ids, batch_size, rank, world_size)
    batches = _Batches(dataset, chunks, preprocess, batch_size)
    return DataLoader(batches, batch_size=None, num_workers=workers)


class _Embeddings(TorchDataset[EmbeddingBatch]):
    def __init__(self, chunks: Sequence[Sequence[str]], read: Callable[[str], StoredEmbedding]) -> None:
        self._chunks, self._read = chunks, read

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: int) -> EmbeddingBatch:
        embeddings, sizes = zip(*map(self._read, self._chunks[index]), strict=True)
        return EmbeddingBatch(tuple(self._chunks[index]), sizes, tuple(map(torch.from_numpy, embeddings)))


def embedding_loader(
    sample_ids: Sequence[str],
    read: Callable[[str], StoredEmbedding],
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[EmbeddingBatch]:
    """Loader of stored embeddings over this process's share of `sample_ids`, as `image_loader`.

    Args:
        sample_ids: all ids of the job, equal on every process.
        read: sample id to (C, g, g) embedding and (H, W) of the original frame.
        batch_size: embeddings of every batch but the last.
        workers: reading processes; 0 reads in this one.
        rank: number of this process.
        world_size: number of processes; each takes every world_size-th batch.
    """
    chunks = batches_of_process(sample_ids, batch_size, rank, world_size)
    return DataLoader(_Embeddings(chunks, read), batch_size=None, num_workers=workers)


def batches_of_process(items: Sequence[T], batch_size: int, rank: int, world_size: int) -> list[Sequence[T]]:
    """Cut `items` into batches and take every world_size-th one, so that no process changes what is in a batch."""
    starts = range(rank * batch_size, len(items), world_size * batch_size)
    return [items[start : start + batch_size] for start in starts]
