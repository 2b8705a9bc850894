"""Batches of whole images for inference: one fixed shape, every image exactly once over all processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.types import Dataset, RGBImage


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


@dataclass(frozen=True)
class _Item:
    sample_id: str
    size: tuple[int, int]
    image: Tensor


class _Images(TorchDataset[_Item]):
    def __init__(
        self, dataset: Dataset, sample_ids: Sequence[str], preprocess: Callable[[RGBImage], Tensor]
    ) -> None:
        self._dataset, self._sample_ids, self._preprocess = dataset, sample_ids, preprocess

    def __len__(self) -> int:
        return len(self._sample_ids)

    def __getitem__(self, index: int) -> _Item:
        image = self._dataset.read_image(self._sample_ids[index])
        return _Item(self._sample_ids[index], (image.shape[0], image.shape[1]), self._preprocess(image))


@dataclass(frozen=True)
class _Collate:
    batch_size: int

    def __call__(self, items: list[_Item]) -> ImageBatch:
        padding = [items[-1].image] * (self.batch_size - len(items))
        return ImageBatch(
            ids=tuple(item.sample_id for item in items),
            sizes=tuple(item.size for item in items),
            images=torch.stack([item.image for item in items] + padding),
        )


def image_loader(
    dataset: Dataset,
    sample_ids: Sequence[str],
    preprocess: Callable[[RGBImage], Tensor],
    *,
    batch_size: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[_Item]:
    """Loader of `ImageBatch` over this process's share of `sample_ids`.

    Args:
        dataset: where the images come from.
        sample_ids: all ids of the job, equal on every process.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        batch_size: B of every batch.
        workers: reading processes; 0 reads in this one.
        rank: number of this process.
        world_size: number of processes; each takes every world_size-th batch.
    """
    chunks = [
        list(range(start, min(start + batch_size, len(sample_ids))))
        for start in range(0, len(sample_ids), batch_size)
    ]
    return DataLoader(
        _Images(dataset, sample_ids, preprocess),
        batch_sampler=chunks[rank::world_size],
        collate_fn=_Collate(batch_size),
        num_workers=workers,
    )
