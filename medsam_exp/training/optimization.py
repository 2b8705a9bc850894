"""Optimizer, parameter groups and learning-rate schedule of every training module."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from medsam_exp.types import UserError

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]
"""Parameter groups to an optimizer."""
SchedulerFactory = Callable[..., LRScheduler]
"""`(optimizer, total_steps=...)` to a schedule that is advanced once per optimizer step."""


def parameter_groups(modules: Iterable[nn.Module]) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices, and what weight decay would only harm.

    Norms, biases, class tokens and temperatures are the parameters with at most one axis longer than 1.

    Returns:
        Two groups for an optimizer; the first takes the optimizer's weight decay, the second has none.
    """
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if not _is_vector(p)]},
        {"params": [p for p in trainable if _is_vector(p)], "weight_decay": 0.0},
    ]


def _is_vector(parameter: nn.Parameter) -> bool:
    return parameter.numel() == max(parameter.shape, default=1)


def optimizer_and_schedule(
    trainer: pl.Trainer,
    modules: Iterable[nn.Module],
    optimizer: OptimizerFactory,
    scheduler: SchedulerFactory,
) -> dict[str, Any]:
    """Build both in the form that a LightningModule returns; the schedule advances with every step.

    Args:
        trainer: says how many steps the training has.
        modules: whose trainable parameters are optimised.
        optimizer: parameter groups to an optimizer.
        scheduler: `(optimizer, total_steps=...)` to a schedule.

    Raises:
        UserError: the training has no known end, so that no schedule can be laid over it.
    """
    built = optimizer(parameter_groups(modules))
    schedule = scheduler(built, total_steps=total_steps(trainer))
    return {"optimizer": built, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def total_steps(trainer: pl.Trainer) -> int:
    """Total optimizer steps of a training.

    `trainer.estimated_stepping_batches` would start the loading processes before a checkpoint is read, and a
    resumed training would see the first epoch's samples again.

    Raises:
        UserError: neither epochs nor steps are limited.
    """
    limits = [] if trainer.max_steps == -1 else [trainer.max_steps]
    if trainer.max_epochs is not None and trainer.max_epochs != -1:
        batches: int = trainer.datamodule.batches_per_epoch  # type: ignore[attr-defined]
        limits.append(trainer.max_epochs * math.ceil(batches / trainer.accumulate_grad_batches))
    if not limits:
        raise UserError(
            "The training has no end: set the number of epochs, because the learning rate needs it."
        )
    return min(limits)
