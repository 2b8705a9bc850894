"""The least weight of an image, which every choice that weighs has."""

from dataclasses import dataclass

from medsam_exp.types import UserError


@dataclass(frozen=True)
class LeastWeight:
    """Weights that are not below a limit.

    Args:
        least: weight, in (0, 1].

    Raises:
        UserError: it would never draw an image, or count it more than a trusted one.
    """

    least: float

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise UserError(
                f"label_weight.least={self.least}, but it must be in (0, 1]; weak_label=confident drops images"
            )
