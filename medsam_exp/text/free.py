"""A text from the command line, the same for every image."""

from medsam_exp.text.base import SharedTexts
from medsam_exp.types import UserError


class FreeText(SharedTexts):
    """Any sentence the user types.

    Args:
        text: the sentence.

    Raises:
        UserError: the text is empty.
    """

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise UserError(
                "text.text is empty: write what to find, text.text='a dark mass with ragged borders'"
            )
        super().__init__(text.strip())
