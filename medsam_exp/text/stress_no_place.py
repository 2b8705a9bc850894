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
        left = " ".join(_places().sub(_without_place, text).split())
        return left.replace(" ,", ",").replace(" .", ".").strip(" ,;:")


def _without_place(found: re.Match[str]) -> str:
    """What is left of a place and its joint: the joint, where the place is that of a noun ("in the left lung")."""
    is_of_a_noun = re.match(r"\s+(?!and\b|of\b|with\b|showing\b)\w", found.string[found.end() :])
    return "" if found["there"] or not is_of_a_noun else found["joint"]


@cache
def _places() -> re.Pattern[str]:
    """A place of one or more words, and the words around it that are for the place alone."""
    word = pattern(words_of("place")).pattern
    joint = r"(?P<joint>(?:,\s*)?(?:\b(?:in|at|on|to)\s+the\s+)?)"
    place = rf"{word}(?:\s+{word})*(?:\s+(?:side|half|part)\b)?"
    return re.compile(rf"{joint}{place}(?P<there>\s+there\s+is\b)?", re.IGNORECASE)
