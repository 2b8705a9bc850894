"""Lightning callbacks, and a logger, of every training: checkpoints, divergence, gradients, curves, signals."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.optim import Optimizer

from medsam_exp.runtime.finite import broken_weights
from medsam_exp.runtime.interrupts import take_back_signals
from medsam_exp.training.optimization import total_steps
from medsam_exp.types import UserError

_POINTS = 20
"""A curve of a short training has at least as many points, or one per step."""


def divergence_error(module: pl.LightningModule, what: str, loss: Tensor, remedy: str) -> UserError:
    """The error of a loss that is not finite.

    Before the first step nothing was changed yet, so the weights or the arithmetic are to blame, not the rate.

    Args:
        module: that is trained.
        what: the loss is, such as "The mask loss".
        loss: NaN or infinite.
        remedy: what may mend a training that diverges.
    """
    if module.global_step:
        return UserError(
            f"{what} became {loss.item()} at step {module.global_step} of epoch {module.current_epoch}: {remedy}; "
            "the last good checkpoint stays."
        )
    broken = broken_weights(module.state_dict())
    cause = (
        f"{len(broken)} of the weights that it starts from hold NaN or infinity, the first is {broken[0]}; start from "
        "others."
        if broken
        else "the numbers are too large for the arithmetic; set trainer.precision=32-true, or choose other weights "
        "where it is set already."
    )
    return UserError(
        f"{what} is {loss.item()} before the first step, so no learning rate is to blame: {cause}"
    )


class FiniteWeights(pl.Callback):
    """Ends a training whose weights are not finite; must precede the callbacks that write checkpoints."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before snapshots are written.

        Raises:
            UserError: a weight is not finite.
        """
        self._check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: Any) -> None:
        """Check before a checkpoint replaces the last good one.

        Raises:
            UserError: a weight is not finite.
        """
        self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if broken := broken_weights(module.state_dict()):
            raise UserError(
                f"{len(broken)} of the network's weights are no longer finite at step {trainer.global_step} of epoch "
                f"{trainer.current_epoch}, the first is {broken[0]}: lower the learning rate; the last good "
                "checkpoint stays."
            )


class MidEpochCheckpoint(ModelCheckpoint):
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


class AccumulationMean(pl.Callback):
    """Makes an accumulated gradient the mean over the batches that are in it.

    Lightning divides each batch's loss by `accumulate_grad_batches`, also in the last step of an epoch, which may have
    fewer batches, and in the first one after a resume: their gradients would be too small.
    """

    def __init__(self) -> None:
        self._batches = 0

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the batch."""
        self._batches += 1

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Take back what was divided too much; Lightning clips gradients after this."""
        del optimizer
        share, self._batches = self._batches / trainer.accumulate_grad_batches, 0
        if share < 1:
            for parameter in pl_module.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(share)


class LogInterval(pl.Callback):
    """Records at the trainer's own interval (50 steps), in short trainings more often, so that curves can be seen."""

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Choose the interval once the data are read and the number of steps is known."""
        longest: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        often_enough = max(1, total_steps(trainer) // _POINTS)
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
        """Start the clock."""
        self._running_since = self._clock()

    def on_validation_start(self, *_: Any) -> None:
        """Stop the clock."""
        self._stop()

    def on_validation_end(self, *_: Any) -> None:
        """Restart the clock."""
        self.on_train_epoch_start()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the clock: checkpoints are written now."""
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


class RestoreSignals(pl.Callback):
    """SIGTERM stops a run under a Trainer as it does elsewhere.

    Lightning's own handler notes the signal and looks at it after a training's batch; a prediction goes on to its end.
    Within a process group it waits in a broadcast for processes that may do something else.
    """

    def on_train_start(self, *_: Any) -> None:
        """Take the signals back, as the Trainer has just put its handlers in place."""
        take_back_signals()

    def on_predict_start(self, *_: Any) -> None:
        """Take the signals back."""
        take_back_signals()


class PrefixedLogger(Logger):
    """Writes figures to another logger, each name after that of the training: "weak/fold_0/train/loss".

    Args:
        inner: where they go.
        training: its name.
    """

    def __init__(self, inner: Logger, training: str) -> None:
        super().__init__()
        self._inner, self._training = inner, training

    @property
    def name(self) -> str | None:
        """Name of the logger."""
        return self._inner.name

    @property
    def version(self) -> int | str | None:
        """Version of the logger."""
        return self._inner.version

    @property
    def save_dir(self) -> str | None:
        """Folder of the logger."""
        return self._inner.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record figures; the number of the epoch keeps its name."""
        named = {self._named(name): value for name, value in metrics.items()}
        self._inner.log_metrics(named, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Record settings."""
        self._inner.log_hyperparams(params, *args, **kwargs)

    def save(self) -> None:
        """Write what is recorded."""
        self._inner.save()

    def finalize(self, status: str) -> None:
        """End the training."""
        self._inner.finalize(status)

    def _named(self, name: str) -> str:
        return name if name == "epoch" else f"{self._training}/{name}"
