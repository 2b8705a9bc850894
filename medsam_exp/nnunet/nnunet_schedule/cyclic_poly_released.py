"""The cyclic schedule as the released code has it: its restarts change next to nothing."""

from dataclasses import dataclass

from medsam_exp.nnunet.nnunet_schedule.cycles import CycleSchedule, check_gamma

_RATE = 0.01
_EXPONENT = 0.9


@dataclass(frozen=True)
class CyclicPolyReleased(CycleSchedule):
    """What weak_segmentation/nnunetv2/training/lr_scheduler/polylr.py does, epoch by epoch.

    Unlike `CyclicPoly` it restarts at the initial rate, so at the usual 0.01 there is no jump; between restarts it
    falls from 0.01, whatever the initial rate is; the fall ends at a whole epoch; and one cycle is nnU-Net's own
    schedule. Where the cycles would not be equally long, the released code adds a short one, which is refused here.

    Args:
        gamma: share of a cycle in which the rate falls, in (0, 1]; 0.8 in its functions, 0.5 on its command line.

    Raises:
        UserError: gamma is out of its range.
    """

    gamma: float = 0.8

    def __post_init__(self) -> None:
        check_gamma(self.gamma)

    def _rate(self, epoch: int, epochs: int, length: int, initial_rate: float) -> float:
        since_start = epoch % length
        if length == epochs:
            return float(initial_rate * (1 - epoch / epochs) ** _EXPONENT)
        if since_start == 0:
            return initial_rate
        fallen = min(since_start, int(self.gamma * length))
        return float(_RATE * (1 - fallen / epochs) ** _EXPONENT)
