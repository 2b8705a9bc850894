"""A sentence about the subtype that each image shows (P3)."""

from collections.abc import Mapping
from functools import partial

from medsam_exp.text.base import SubtypeTexts
from medsam_exp.text.sentence_lists import chosen


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
        super().__init__(sentences, lists, partial(chosen, index=index))
