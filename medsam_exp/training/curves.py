"""What every training records besides its module's own figures, and how often it records."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer

from medsam_exp.training.optimization import total_steps

POINTS = 20
"""A curve of a short training has at least as many points, or one per step."""


class LogInterval(pl.Callback):
    """Records at the trainer's own interval (50 steps), in short trainings more often, so that curves can be seen."""

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Choose the interval once the data are read and the number of steps is known."""
        longest: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        often_enough = max(1, total_steps(trainer) // POINTS)
        trainer.log_every_n_steps = min(longest, often_enough)  # type: ignore[attr-defined]


class LearningRate(pl.Callback):
    """Records the learning rate of each step; all parameters share one."""

    def on_before_optimizer_step(
        self, _: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Record what this step is made with, beside its loss."""
        pl_module.log("train/learning_rate", optimizer.param_groups[0]["lr"])


class Throughput(pl.Callback):
    """Records the images (of pairs: pairs) trained on per second, by all devices together.

    The time of loading counts; that of validation and of what happens between epochs does not. The figure goes
    straight to the loggers: as one of the module's own it would end in the stage's record, where equal trainings
    leave equal figures.

    Args:
        clock: seconds since any fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds, self._images, self._logged_step = 0.0, 0, 0
        self._running_since: float | None = None

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Begin at nothing, in a resumed training too."""
        self._seconds, self._images, self._logged_step = 0.0, 0, trainer.global_step
        self._running_since = None

    def on_train_epoch_start(self, *_: Any) -> None:
        """Let the time run."""
        self._running_since = self._clock()

    def on_validation_start(self, *_: Any) -> None:
        """Stop the time."""
        self._stop()

    def on_validation_end(self, *_: Any) -> None:
        """Let the time run again."""
        self._running_since = self._clock()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the time: checkpoints are written now."""
        self._stop()

    def on_train_batch_end(
        self, trainer: pl.Trainer, _: pl.LightningModule, _outputs: Any, batch: Any, _index: int
    ) -> None:
        """Count a batch, and record the rate since the last record whenever the loss is recorded."""
        self._images += len(batch.image) * trainer.world_size
        step, interval = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not interval or step % interval or step == self._logged_step:  # accumulated batches share a step
            return
        self._stop()
        if self._seconds > 0:
            rate = {"train/images_per_second": self._images / self._seconds}
            for logger in trainer.loggers:
                logger.log_metrics(rate, step=step - 1)  # Lightning counts steps from 0
        self._seconds, self._images, self._logged_step = 0.0, 0, step
        self._running_since = self._clock()

    def _stop(self) -> None:
        if self._running_since is not None:
            self._seconds += self._clock() - self._running_since
        self._running_since = None
