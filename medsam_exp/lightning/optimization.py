"""What every training module does with its optimizer and schedule."""

from collections.abc import Callable, Iterable
from typing import Any

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

    Norms, biases, class tokens and temperatures are the parameters with less than two axes.

    Returns:
        Two groups for an optimizer; the first takes the optimizer's weight decay, the second has none.
    """
    trainable = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2]},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]


def optimizer_and_schedule(
    modules: Iterable[nn.Module],
    optimizer: OptimizerFactory,
    scheduler: SchedulerFactory,
    total_steps: float,
) -> dict[str, Any]:
    """Build both in the form that a LightningModule returns; the schedule advances with every step.

    Raises:
        UserError: the training has no known end, so that no schedule can be laid over it.
    """
    if total_steps == float("inf"):
        raise UserError(
            "The training has no end: set the number of epochs, because the learning rate needs it."
        )
    built = optimizer(parameter_groups(modules))
    schedule = scheduler(built, total_steps=int(total_steps))
    return {"optimizer": built, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
