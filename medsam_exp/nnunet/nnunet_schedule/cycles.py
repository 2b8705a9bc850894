"""Equal cycles of a training, and the base of the schedules that are made of them."""

from abc import ABC, abstractmethod

from medsam_exp.types import UserError


class CycleSchedule(ABC):
    """Learning rate of each epoch of a training of equal cycles."""

    def __call__(self, epoch: int, epochs: int, cycles: int, initial_rate: float) -> float:
        """Learning rate of an epoch, > 0.

        Args:
            epoch: counted from 0.
            epochs: of the whole training; a multiple of `cycles`.
            cycles: number of equal cycles.
            initial_rate: rate that the schedule falls from.

        Raises:
            UserError: the cycles are not equally long, or more than the schedule can have.
            ValueError: there is no such epoch. Polynomial rates would become complex numbers there, without a word.
        """
        length = cycle_length(epochs, cycles)
        if not 0 <= epoch < epochs:
            raise ValueError(
                f"epoch {epoch} is asked for, but a training of {epochs} has epochs 0 to {epochs - 1}"
            )
        return float(self._rate(epoch, epochs, length, initial_rate))

    @abstractmethod
    def _rate(self, epoch: int, epochs: int, length: int, initial_rate: float) -> float:
        """Rate of an epoch where each cycle has `length` epochs."""


def cycle_length(epochs: int, cycles: int) -> int:
    """Epochs of each of a training's equal cycles.

    Args:
        epochs: of the whole training, >= 1.
        cycles: number of cycles, >= 1.

    Raises:
        UserError: a number is below 1, or the cycles would not be equally long; says which numbers would do.
    """
    if epochs < 1 or cycles < 1:
        raise UserError(f"epochs={epochs} and cycles={cycles}, but both must be at least 1")
    if epochs % cycles:
        fewer = epochs - epochs % cycles
        choices = " or ".join(str(number) for number in (fewer, fewer + cycles) if number)
        divisors = (number for number in range(1, epochs + 1) if epochs % number == 0)
        nearest = min(divisors, key=lambda number: (abs(number - cycles), number))
        raise UserError(
            f"epochs={epochs} cannot be cut into {cycles} equal cycles: use epochs={choices}, or cycles={nearest}"
        )
    return epochs // cycles


def check_gamma(gamma: float) -> None:
    """Refuse a share of the cycle that is none.

    Raises:
        UserError: says the range.
    """
    if not 0 < gamma <= 1:
        raise UserError(
            f"gamma is {gamma}, but it is the share of a cycle in which the rate falls and must be in (0, 1]"
        )
