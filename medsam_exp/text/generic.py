"""One sentence about the task, the same for every image (P2)."""

from collections.abc import Mapping

from medsam_exp.text.base import SharedTexts
from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import chosen


class Generic(SharedTexts):
    """One description of the target, independent of its subtype.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        index: which generic sentence, counted from 0.

    Raises:
        UserError: the sentences cannot be read, or there are not so many.
    """

    def __init__(self, sentences: str | None, lists: Mapping[str, str] | None = None, index: int = 0) -> None:
        known = read_sentences(sentences, lists)
        super().__init__(*chosen(known.generic(), f"{known.source}, generic", index))
