"""Keeps checkpoints of an nnU-Net training as nnU-Net itself would write them."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.training.checkpoint_files import torch_bytes

FINAL = "checkpoint_final.pth"


class Snapshots(Checkpoint):
    """Writes a checkpoint after chosen epochs, and one with the optimizer's state after the last.

    Args:
        parts: what is trained.
        epochs: 0-based epochs after which to keep the weights.
    """

    def __init__(self, parts: TrainingParts, epochs: Collection[int]) -> None:
        self._parts, self._epochs = parts, frozenset(epochs)

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Write the epoch's checkpoint, once, from the first process."""
        epoch = trainer.current_epoch
        if not trainer.is_global_zero:
            return
        if epoch in self._epochs:
            write_checkpoint(self._parts.checkpoint(epoch, None), self._parts.results / snapshot_name(epoch))
        if epoch == (trainer.max_epochs or 0) - 1:
            complete = self._parts.checkpoint(epoch, trainer.optimizers[0])
            write_checkpoint(complete, self._parts.results / FINAL)


def snapshot_name(epoch: int) -> str:
    """File name of the checkpoint after a 0-based epoch."""
    return f"checkpoint_epoch_{epoch:04d}.pth"


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a reader sees all of it or nothing; aliases of one tensor are stored once."""
    write_atomically(path, torch_bytes(checkpoint))
