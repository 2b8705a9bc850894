"""nnU-Net's own schedule: the rate falls polynomially over the whole training (Isensee et al. 2021)."""

from dataclasses import dataclass

from medsam_exp.nnunet.nnunet_schedule.cycles import place_in_cycle
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Poly:
    """initial_rate * (1 - epoch / epochs) ** exponent, without restarts.

    Args:
        exponent: 0.9 in nnU-Net.

    Raises:
        UserError: the exponent is not positive.
    """

    exponent: float = 0.9

    def __post_init__(self) -> None:
        if not self.exponent > 0:
            raise UserError(f"exponent is {self.exponent}, but the rate falls only for one above 0")

    def __call__(self, epoch: int, epochs: int, cycles: int, initial_rate: float) -> float:
        """Learning rate of an epoch, > 0.

        Args:
            epoch: counted from 0.
            epochs: of the whole training.
            cycles: 1; this schedule never restarts.
            initial_rate: rate of the first epoch.

        Raises:
            UserError: more than one cycle is asked for.
            ValueError: there is no such epoch.
        """
        place_in_cycle(epoch, epochs, cycles)
        if cycles != 1:
            raise UserError(f"cycles={cycles}, but the schedule poly has one: use cycles=1 or cyclic_poly")
        return float(initial_rate * (1 - epoch / epochs) ** self.exponent)
