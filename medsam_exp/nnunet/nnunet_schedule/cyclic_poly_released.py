"""The cyclic schedule as the released code has it: its restarts change next to nothing."""

from dataclasses import dataclass

from medsam_exp.nnunet.nnunet_schedule.cycles import check_gamma, place_in_cycle

_RATE = 0.01
_EXPONENT = 0.9


@dataclass(frozen=True)
class CyclicPolyReleased:
    """What weak_segmentation/nnunetv2/training/lr_scheduler/polylr.py does, epoch by epoch.

    Unlike `CyclicPoly` it restarts at the initial rate, so at the usual 0.01 there is no jump; between restarts it
    falls from 0.01, whatever the initial rate is; the fall ends at a whole epoch; and one cycle is nnU-Net's own
    schedule.

    Args:
        gamma: share of a cycle in which the rate falls, in (0, 1]; 0.8 in its functions, 0.5 on its command line.

    Raises:
        UserError: gamma is out of its range.
    """

    gamma: float = 0.8

    def __post_init__(self) -> None:
        check_gamma(self.gamma)

    def __call__(self, epoch: int, epochs: int, cycles: int, initial_rate: float) -> float:
        """Learning rate of an epoch, > 0.

        Args:
            epoch: counted from 0.
            epochs: of the whole training; a multiple of `cycles` (the released code adds a short cycle otherwise).
            cycles: number of equal cycles.
            initial_rate: rate at the start of each cycle, and of the whole fall where there is one cycle.

        Raises:
            UserError: the cycles are not equally long.
            ValueError: there is no such epoch.
        """
        since_start, length = place_in_cycle(epoch, epochs, cycles)
        if cycles == 1:
            return float(initial_rate * (1 - epoch / epochs) ** _EXPONENT)
        if since_start == 0:
            return float(initial_rate)
        fallen = min(since_start, int(self.gamma * length))
        return float(_RATE * (1 - fallen / epochs) ** _EXPONENT)
