"""A sentence about the subtype that each image shows (P3)."""

from collections.abc import Mapping

from medsam_exp.text.base import SubtypeTexts
from medsam_exp.text.sentence_lists import SubtypeSentences, chosen


class Subtype(SubtypeTexts):
    """One description of the subtype that the image shows, such as a benign or a malignant tumor.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        index: which sentence of the subtype's list, counted from 0.

    Raises:
        UserError: the sentences cannot be read.
    """

    def __init__(self, sentences: str | None, lists: Mapping[str, str] | None = None, index: int = 0) -> None:
        super().__init__(sentences, lists)
        self._index = index

    def choose(self, subtype: SubtypeSentences, what: str) -> tuple[str, ...]:
        """The sentence of one subtype; `what` names its list in errors.

        Raises:
            UserError: the list has not so many.
        """
        return (chosen(subtype.sentences, self._index, what),)
