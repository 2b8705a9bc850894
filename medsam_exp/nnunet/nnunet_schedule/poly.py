"""nnU-Net's own schedule: the rate falls polynomially over the whole training (Isensee et al. 2021)."""

from dataclasses import dataclass

from medsam_exp.nnunet.nnunet_schedule.cycles import CycleSchedule
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Poly(CycleSchedule):
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

    def _rate(self, epoch: int, epochs: int, length: int, initial_rate: float) -> float:
        if length != epochs:
            raise UserError(
                f"cycles={epochs // length}, but the schedule poly has one: use cycles=1 or cyclic_poly"
            )
        return float(initial_rate * (1 - epoch / epochs) ** self.exponent)
