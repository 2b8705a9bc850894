"""Prediction under a Lightning Trainer: batches of one fixed shape, every sample exactly once over all processes."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.runtime import distributed
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import RGBImage

T = TypeVar("T")


class PredictModule(pl.LightningModule):
    """Answers a batch and saves the answers one by one, so that those before an error are kept.

    Args:
        network: that answers; the Trainer moves it to its device.
        answers: batch to the answers of its samples, tuples of an id and what `save` is to receive with it.
        save: receives each answer's parts.
    """

    def __init__(
        self,
        network: nn.Module,
        answers: Callable[[Any], Iterable[tuple[Any, ...]]],
        save: Callable[..., object],
    ) -> None:
        super().__init__()
        self.network = network
        self._answers, self._save = answers, save

    def predict_step(self, batch: Any, *_: Any) -> None:
        """Answer one batch."""
        for answer in self._answers(batch):
            self._save(*answer)


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


def read_images(
    read: Callable[[str], RGBImage],
    preprocess: Callable[[RGBImage], Tensor],
    batch_size: int,
    ids: Sequence[str],
) -> ImageBatch:
    """Read up to B images.

    Args:
        read: an image (H, W, 3) uint8 by its id.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        batch_size: B.
        ids: of the images.
    """
    originals = [read(sample_id) for sample_id in ids]
    inputs = [preprocess(image) for image in originals]
    padding = [inputs[-1]] * (batch_size - len(inputs))
    sizes = tuple((image.shape[0], image.shape[1]) for image in originals)
    return ImageBatch(tuple(ids), sizes, torch.stack(inputs + padding))


StoredEmbedding = tuple[NDArray[np.float32], tuple[int, int]]
"""A (C, g, g) embedding and the (H, W) of its image."""


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


def read_embeddings(read: Callable[[str], StoredEmbedding], ids: Sequence[str]) -> EmbeddingBatch:
    """Read stored embeddings, each by its sample's id."""
    embeddings, sizes = zip(*map(read, ids), strict=True)
    return EmbeddingBatch(tuple(ids), sizes, tuple(map(torch.from_numpy, embeddings)))


def batch_loader(
    items: Sequence[T],
    load: Callable[[Sequence[T]], Any],
    *,
    batch_size: int,
    threads: int,
    pinned: bool = False,
) -> "Ahead[Sequence[T]]":
    """Loader of this process's share of batches; what is in a batch does not depend on the number of processes.

    Args:
        items: of the whole job, equal on every process, which takes its `own_starts`.
        load: up to batch_size items to a batch.
        batch_size: items of every batch but the last.
        threads: that read ahead; 0 reads in this one.
        pinned: bring batches to page-locked memory, from where a GPU takes them while the processor goes on.
    """

    def load_pinned(some: Sequence[T]) -> Any:
        batch = load(some)
        return batch.pin_memory() if isinstance(batch, TensorBatch) else batch

    starts = distributed.own_starts(len(items), batch_size)
    return Ahead(
        [items[start : start + batch_size] for start in starts], load_pinned if pinned else load, threads
    )


class Ahead(Generic[T]):
    """What `load` makes of each item, in order, some of it in advance.

    Args:
        items: what to load.
        load: called from several threads at once.
        threads: how many; 0 loads each when it is asked for.
    """

    def __init__(self, items: Sequence[T], load: Callable[[T], Any], threads: int) -> None:
        self._items, self._load, self._threads = items, load, threads
        self._loading: Generator[Any, None, None] | None = None

    def __len__(self) -> int:
        """Number of items."""
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        """Load all."""
        self._loading = map_in_threads(self._load, self._items, self._threads)
        return self._loading

    def close(self) -> None:
        """Load nothing more."""
        if self._loading is not None:
            self._loading.close()


class Loaded(TorchDataset[Any]):
    """What `load` makes of each item; where these are whole batches, neither Lightning nor a sampler can split them."""

    def __init__(self, items: Sequence[T], load: Callable[[T], Any]) -> None:
        self._items, self._load = items, load

    def __len__(self) -> int:
        """Number of items."""
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        """Load one."""
        return self._load(self._items[index])
