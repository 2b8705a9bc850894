"""Equal cycles of a training: their length, and the position of an epoch in its cycle."""

from medsam_exp.types import UserError


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


def place_in_cycle(epoch: int, epochs: int, cycles: int) -> tuple[int, int]:
    """Epochs since the start of an epoch's cycle (0 at its start), and the cycle's length.

    Args:
        epoch: counted from 0.
        epochs: of the whole training.
        cycles: number of equal cycles.

    Raises:
        UserError: as `cycle_length`.
        ValueError: there is no such epoch. Polynomial rates would become complex numbers there, without a word.
    """
    length = cycle_length(epochs, cycles)
    if not 0 <= epoch < epochs:
        raise ValueError(
            f"epoch {epoch} is asked for, but a training of {epochs} has epochs 0 to {epochs - 1}"
        )
    return epoch % length, length


def check_gamma(gamma: float) -> None:
    """Refuse a share of the cycle that is none.

    Raises:
        UserError: says the range.
    """
    if not 0 < gamma <= 1:
        raise UserError(
            f"gamma is {gamma}, but it is the share of a cycle in which the rate falls and must be in (0, 1]"
        )
