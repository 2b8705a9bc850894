"""Where a training stands is kept within long epochs too, at places from which it can go on."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class WithinEpoch(ModelCheckpoint):
    """Saves last.ckpt every so often, but not after an epoch's last step.

    From there Lightning would go on with the next epoch: no validation, nothing of what is done at an epoch's end.

    Args:
        folder: of the file.
        every: time between two.
    """

    def __init__(self, folder: Path, every: timedelta) -> None:
        super().__init__(folder, "last", train_time_interval=every, enable_version_counter=False)

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        """Save if it is time."""
        if not trainer.is_last_batch:
            super().on_train_batch_end(trainer, *rest)
