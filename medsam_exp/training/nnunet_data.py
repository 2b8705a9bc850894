"""nnU-Net's batches for Lightning: each a pure function of (seed, epoch, number of the batch, device)."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.nnunet.training import Batch
from medsam_exp.runtime import distributed
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.training.training_data import EpochSampler, resumable_loader, trained_batches


@dataclass(frozen=True, eq=False)
class SeededBatches(TorchDataset[Batch]):
    """Draws batches from one of nnU-Net's data loaders, which uses the global random generators.

    Seeding it anew for each batch makes a batch independent of those before it. So it does not matter how many
    processes load, or where a training was broken off.

    Args:
        source: nnU-Net's data loader with its transforms.
        seed: of all batches.
        use: "train" or "validation".
        count: batches of an epoch.
    """

    source: Any
    seed: int
    use: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        """The batch at (epoch, number)."""
        with seeded(derive_seed(self.seed, "nnunet", self.use, *place, distributed.rank())):
            drawn = self.source.generate_train_batch()
        return Batch(drawn["data"], drawn["target"])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all global generators for one block, and put them back."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002 - nnU-Net's
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.random.set_rng_state(states[2])


class NnunetDataModule(pl.LightningDataModule):
    """Loaders over nnU-Net's training and validation batches.

    Args:
        sources: nnU-Net's data loaders, "train" and where the fold holds cases out "validation".
        iterations: training batches of an epoch.
        validation_iterations: validation batches.
        seed: of all batches.
        workers: augmenting processes; the batches do not depend on it.
    """

    def __init__(
        self, sources: dict[str, Any], iterations: int, validation_iterations: int, seed: int, workers: int
    ) -> None:
        super().__init__()
        self._sources, self._seed, self._workers = sources, seed, workers
        self._counts = {"train": iterations, "validation": validation_iterations}

    @property
    def batches_per_epoch(self) -> int:
        """Training batches of one epoch."""
        return self._counts["train"]

    def train_dataloader(self) -> DataLoader[Batch]:
        """The rest of the current epoch's batches, then whole epochs."""
        return self._loader("train", self._seed)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """The same batches after every epoch; none where the fold holds no case out."""
        return self._loader("validation", None) if "validation" in self._sources else []

    def _loader(self, use: str, order: int | None) -> DataLoader[Batch]:
        count = self._counts[use]
        dataset = SeededBatches(self._sources[use], self._seed, use, count)
        sampler = EpochSampler(count, 1, count, order, lambda: trained_batches(self.trainer))
        return resumable_loader(dataset, sampler, self._workers, batch_size=None)
