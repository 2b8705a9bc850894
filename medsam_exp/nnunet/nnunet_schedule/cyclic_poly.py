"""Cyclic schedule for an ensemble of checkpoints: every cycle starts with a jump (Zhao et al. 2022)."""

from dataclasses import dataclass

from medsam_exp.nnunet.nnunet_schedule.cycles import CycleSchedule, check_gamma
from medsam_exp.types import UserError


@dataclass(frozen=True)
class CyclicPoly(CycleSchedule):
    """A jump of the learning rate, a slow fall, then a level part from which the ensemble's members are taken.

    With T epochs in cycles of T_c, and t_c epochs since the start of the cycle (arXiv 2212.06278):

        rate = restart_rate                                                     if t_c = 0
        rate = initial_rate * (1 - min(t_c, gamma * T_c) / T) ** exponent       else

    T is the whole training, so within a cycle the rate falls only a little (600 epochs, 3 cycles, gamma 0.8: from
    0.01 to 0.0076): the members come from a wandering network, not from a settled one.

    MedCLIP-SAMv2 (arXiv 2409.19483, section 3.4.3) states 600 epochs, 3 cycles, an initial rate of 0.01 and this
    schedule by name. It does not state gamma, exponent or restart_rate: ours come from a third party's reading of
    Zhao et al., and the released code agrees on gamma's default and the exponent.

    As the formula is written, the *first* cycle jumps too: a network with random weights trains for one epoch at
    `restart_rate`, ten times nnU-Net's own rate. A jump there restarts nothing, but the formula is kept as it is;
    nnU-Net clips its gradients, and a whole cycle follows before the first member. With `restart_rate` equal to
    the initial rate no cycle jumps, and training starts as nnU-Net's does.

    Args:
        gamma: share of a cycle in which the rate falls, in (0, 1]; afterwards it stays.
        exponent: of the polynomial.
        restart_rate: rate of the first epoch of each cycle, the very first one included.

    Raises:
        UserError: a number is out of its range.
    """

    gamma: float = 0.8
    exponent: float = 0.9
    restart_rate: float = 0.1

    def __post_init__(self) -> None:
        check_gamma(self.gamma)
        if not (self.exponent > 0 and self.restart_rate > 0):
            raise UserError(
                f"exponent is {self.exponent} and restart_rate is {self.restart_rate}, but both must be above 0"
            )

    def _rate(self, epoch: int, epochs: int, length: int, initial_rate: float) -> float:
        since_start = epoch % length
        if since_start == 0:
            return self.restart_rate
        fallen = min(since_start, self.gamma * length)
        return float(initial_rate * (1 - fallen / epochs) ** self.exponent)
