"""Stress: each text with typing errors."""

import re
from typing import ClassVar

import numpy as np

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.text.stressed import Stressed
from medsam_exp.types import TextSource, UserError

_WORD = re.compile(r"[^\W\d_]{4,}")
"""Words long enough that a reader still knows them with one error."""


class Misspelt(Stressed):
    """Makes one typing error in some words of four letters or more; the first letter stays.

    An error exchanges two letters, leaves one out, or doubles one.

    Args:
        source: the texts to misspell; each must have a word of four letters or more.
        share: of these words that get an error, above 0 and at most 1; at least one word in any case.
        seed: chooses words and errors.

    Raises:
        UserError: `share` is out of range.
    """

    how: ClassVar[str] = "misspelt"
    needs: ClassVar[str] = "word of four letters or more"

    def __init__(self, source: TextSource, share: float, seed: int = 0) -> None:
        super().__init__(source)
        if not 0 < share <= 1:
            raise UserError(f"text.share is {share}: give a share of the words, above 0 and at most 1")
        self._share, self._seed = share, seed

    def stressed(self, sample_id: str, text: str) -> str:
        """The text with errors."""
        generator = numpy_generator(self._seed, sample_id, "misspelt", text)
        words = list(_WORD.finditer(text))
        count = min(len(words), max(1, round(self._share * len(words))))
        for place in sorted(generator.permutation(len(words))[:count], reverse=True):
            start, end = words[place].span()
            text = text[:start] + _with_error(text[start:end], generator) + text[end:]
        return text


def _with_error(word: str, generator: np.random.Generator) -> str:
    """The word with one error behind its first letter."""
    place = int(generator.integers(1, len(word) - 1))
    kind = int(generator.integers(3))
    if kind == 0 and word[place] != word[place + 1]:
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if kind == 1:
        return word[:place] + word[place] + word[place:]
    return word[:place] + word[place + 1 :]
