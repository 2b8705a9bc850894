"""A text from the command line, the same for every image."""

from collections.abc import Sequence

from medsam_exp.types import Sample, UserError


class FreeText:
    """Any sentence the user types.

    Args:
        text: the sentence.

    Raises:
        UserError: the text is empty.
    """

    uses_class_labels = False
    tells = ""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise UserError(
                "text.text is empty: write what to find, text.text='a dark mass with ragged borders'"
            )
        self.text = text.strip()

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The same text for every sample."""
        return {sample.id: (self.text,) for sample in samples}
