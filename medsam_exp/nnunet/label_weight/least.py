"""The least weight of an image."""

from medsam_exp.types import UserError


def check_least(least: float) -> None:
    """Refuse a weight that would never draw an image, or count it more than a trusted one.

    Raises:
        UserError: it is outside (0, 1].
    """
    if not 0 < least <= 1:
        raise UserError(
            f"label_weight.least={least}, but it must be in (0, 1]; weak_label=confident drops images"
        )
