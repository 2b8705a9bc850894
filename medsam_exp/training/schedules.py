"""Learning-rate schedules over the steps of a training.

In closed form, so that each is a plain function of the step; torch's own compute a rate from the one before it.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medsam_exp.types import UserError


def step_decay(optimizer: Optimizer, total_steps: int, factor: float, times: int) -> LambdaLR:
    """The optimizer's learning rate, multiplied by a factor at equal distances.

    Args:
        optimizer: its learning rate is the first one.
        total_steps: optimizer steps of the whole training, > 0.
        factor: of every decay, in (0, 1].
        times: number of decays, >= 0; they cut the training into times + 1 equal parts.

    Raises:
        UserError: a value is out of its range.
    """
    if not 0 < factor <= 1:
        raise UserError(f"scheduler.factor is {factor}, but it must be in (0, 1].")
    if times < 0:
        raise UserError(f"scheduler.times is {times}, but it cannot be negative.")
    return LambdaLR(optimizer, lambda step: factor ** min(times, step * (times + 1) // total_steps))


def warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup_fraction: float, final_fraction: float
) -> LambdaLR:
    """A linear rise to the optimizer's learning rate, then half a cosine down (Loshchilov 2017).

    Args:
        optimizer: its learning rate is the highest one.
        total_steps: optimizer steps of the whole training, > 0.
        warmup_fraction: share of the steps spent rising, in [0, 1).
        final_fraction: learning rate after the last step as a share of the highest, in [0, 1].

    Raises:
        UserError: a fraction is out of its range.
    """
    if not 0 <= warmup_fraction < 1:
        raise UserError(f"scheduler.warmup_fraction is {warmup_fraction}, but it must be in [0, 1).")
    if not 0 <= final_fraction <= 1:
        raise UserError(f"scheduler.final_fraction is {final_fraction}, but it must be in [0, 1].")
    warmup_steps = round(warmup_fraction * total_steps)

    def share(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, share)
