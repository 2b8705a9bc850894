"""The name of the target, the same for every image (P0)."""

from medsam_exp.text.base import SharedTexts
from medsam_exp.types import UserError


class ClassName(SharedTexts):
    """The name of the target, such as "breast tumor".

    Args:
        target: the target in words; None or empty is an error.

    Raises:
        UserError: there is no target.
    """

    def __init__(self, target: str | None) -> None:
        if not target or not target.strip():
            raise UserError(
                "data.target is not set: say what to find (data.target='breast tumor') or use text=free"
            )
        super().__init__(target.strip())
