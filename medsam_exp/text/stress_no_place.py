"""Stress: each text without the place that it says."""

import re
from functools import cache
from typing import ClassVar

from medsam_exp.text.lexicon import pattern, words_of
from medsam_exp.text.stressed import Stressed


class NoPlace(Stressed):
    """Takes words of place away, with what joins them to the sentence.

    "in the upper left there is a dark mass" becomes "a dark mass". All else stays.

    Args:
        source: the texts to change; each must say a place.
    """

    how: ClassVar[str] = "without its place"
    needs: ClassVar[str] = "word of place (left, right, upper, lower, middle, center)"

    def stressed(self, sample_id: str, text: str) -> str:
        """The text without place."""
        del sample_id
        left = " ".join(_places().sub("", text).split())
        return left.replace(" ,", ",").replace(" .", ".").strip(" ,;:")


@cache
def _places() -> re.Pattern[str]:
    """A place of one or more words, and the words around it that are for the place alone."""
    word = pattern(words_of("place")).pattern
    joined = r"(?:,\s*)?(?:\b(?:in|at|on)\s+the\s+)?"
    return re.compile(rf"{joined}{word}(?:\s+{word})*(?:\s+there\s+is\b)?", re.IGNORECASE)
