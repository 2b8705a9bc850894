"""What training data of every kind share: whole batches, order by seed and epoch, exact resume."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.training.epoch_sampler import EpochSampler
from medsam_exp.types import UserError


class ResumableLoader(DataLoader[Any]):
    """Tells Lightning that it can go on within an epoch; the sampler sees to that, without a state."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to go on with."""


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
        """Whole batches of one training epoch.

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
        return ResumableLoader(
            dataset,
            batch_size=sampler.share,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def trained_batches(trainer: pl.Trainer | None) -> int:
    """Whole batches that a training has consumed so far."""
    if trainer is None:
        return 0
    progress = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(progress.processed)  # type: ignore[attr-defined]
