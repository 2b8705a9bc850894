"""Base of training data modules: full batches, order by seed and epoch, exact resume within an epoch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.training.prediction import Loaded
from medsam_exp.types import UserError


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index) for the rest of an epoch, so that a loading process knows the epoch of a sample.

    It asks how many batches are trained instead of being told the epoch: after a resume, Lightning lets the
    loading processes begin before it tells. A `DistributedSampler`, because Lightning lets those be.
    Each process takes its slice of every whole batch; all slices together are what one process alone gets. Where a
    batch cannot be shared equally, its last sample is repeated at its end, so that all slices are equally long.

    Args:
        size: number of samples.
        batch_size: samples of a whole batch, over all processes.
        batches: whole batches of one epoch; samples beyond them wait for another epoch's order.
        seed: of the order; None keeps the given order, as epoch 0, every time.
        trained_batches: how many whole batches the training has consumed so far.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        batches: int,
        seed: int | None,
        trained_batches: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(range(size), world_size, rank)  # type: ignore[arg-type]
        self.share = -(-batch_size // world_size)
        self._batch_size, self._size, self._batches, self._seed = batch_size, size, batches, seed
        self._trained_batches = trained_batches

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this process's samples of the epoch's remaining batches."""
        epoch, done, order = 0, 0, range(self._size)
        if self._seed is not None:
            epoch, done = divmod(self._trained_batches(), self._batches)
            order = numpy_generator(self._seed, "order", epoch).permutation(self._size).tolist()
        slots = range(self.rank * self.share, (self.rank + 1) * self.share)
        places = [min(slot, self._batch_size - 1) for slot in slots]
        starts = range(done * self._batch_size, self._batches * self._batch_size, self._batch_size)
        return iter([(epoch, order[start + place]) for start in starts for place in places])

    def __len__(self) -> int:
        """Samples of one epoch on this process."""
        return self._batches * self.share


class _ResumableLoader(DataLoader[Any]):
    """Stateful DataLoader for Lightning's resume within an epoch; the sampler derives the position, without a state."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to go on with."""


def resumable_loader(
    dataset: TorchDataset[Any], sampler: EpochSampler, workers: int, **options: Any
) -> DataLoader[Any]:
    """Loader that goes on within an epoch, from where its sampler begins.

    Args:
        dataset: indexed by (epoch, index).
        sampler: gives the indices.
        workers: loading processes, which stay from epoch to epoch.
        options: of the DataLoader, which say how samples make batches.
    """
    return _ResumableLoader(
        dataset,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        **options,
    )


class TrainingData(pl.LightningDataModule):
    """Makes loaders over datasets that are indexed by (epoch, index).

    Args:
        batch_size: samples of a training batch, over all devices.
        val_batch_size: samples of a validation batch at most, over all devices.
        seed: with the epoch it decides the order.
        workers: loading processes; the batches do not depend on it.
    """

    train_size: int
    """Number of training samples."""
    val_rows: int
    """Samples of a validation batch, over all devices; further rows, when all are put together, are padding."""

    def __init__(self, *, batch_size: int, val_batch_size: int, seed: int, workers: int) -> None:
        super().__init__()
        self._batch_size, self._val_batch_size = batch_size, val_batch_size
        self._seed, self._workers = seed, workers

    @property
    def batches_per_epoch(self) -> int:
        """Full batches of one training epoch.

        Raises:
            UserError: there are fewer samples than one batch.
        """
        if self.train_size < self._batch_size:
            raise UserError(
                f"There are {self.train_size} training samples, fewer than one batch of {self._batch_size}: "
                "lower batch_size."
            )
        batches = self.train_size // self._batch_size
        limit = self.trainer.limit_train_batches if self.trainer else None
        if isinstance(limit, float):
            return max(1, int(batches * limit))
        return batches if limit is None else min(batches, limit)

    def _training_loader(
        self, dataset: TorchDataset[Any], collate: Callable[[list[Any]], Any]
    ) -> DataLoader[Any]:
        """Loader of the shuffled training set; it goes on where the training stands."""
        return self._loader(dataset, collate, self._batch_size, self.batches_per_epoch, self._seed)

    def _validation_loader(
        self, dataset: TorchDataset[Any], collate: Callable[[list[Any]], Any]
    ) -> DataLoader[Any]:
        """Loader of the same whole batches every time, on any number of devices; an incomplete one is left out."""
        size = len(dataset)  # type: ignore[arg-type]
        self.val_rows = min(self._val_batch_size, size)
        return self._loader(dataset, collate, self.val_rows, size // self.val_rows, None)

    def _loader(
        self,
        dataset: TorchDataset[Any],
        collate: Callable[[list[Any]], Any],
        batch_size: int,
        batches: int,
        seed: int | None,
    ) -> DataLoader[Any]:
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if seed is not None and batch_size % processes:
            raise UserError(f"A batch of {batch_size} cannot be shared equally by {processes} devices.")
        size = len(dataset)  # type: ignore[arg-type]
        sampler = EpochSampler(
            size,
            batch_size,
            batches,
            seed,
            lambda: trained_batches(self.trainer),
            rank=rank,
            world_size=processes,
        )
        return resumable_loader(dataset, sampler, self._workers, batch_size=sampler.share, collate_fn=collate)


def trained_batches(trainer: pl.Trainer | None) -> int:
    """Number of batches that a training has consumed so far."""
    if trainer is None:
        return 0
    progress = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(progress.processed)  # type: ignore[attr-defined]


def read_all(
    read: Callable[[str], NDArray[Any]], ids: Sequence[str], workers: int
) -> dict[str, NDArray[Any]]:
    """Read every array by id with several processes; loading processes forked later share the memory.

    Args:
        read: array of one id.
        ids: what to read.
        workers: reading processes; 0 reads in this one.
    """
    loader = DataLoader(Loaded(ids, read), batch_size=None, num_workers=workers)
    return {sample_id: tensor.numpy().copy() for sample_id, tensor in zip(ids, loader, strict=True)}
