"""Stress: each text says another place than the true one."""

from typing import ClassVar

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.text.lexicon import Entry, contradicted, lexicon, words_of
from medsam_exp.text.stressed import Stressed
from medsam_exp.types import TextSource


class WrongPlace(Stressed):
    """Turns places round: left and right, upper and lower change sides; the center becomes a corner.

    "a mass in the upper left" becomes "a mass in the lower right". All else stays true.

    Args:
        source: the texts to change; each must say a place.
        seed: chooses the corner.
    """

    how: ClassVar[str] = "with its place turned round"
    needs: ClassVar[str] = "word of place with an opposite (left, right, upper, lower, center)"

    def __init__(self, source: TextSource, seed: int = 0) -> None:
        super().__init__(source)
        self._seed = seed

    def stressed(self, sample_id: str, text: str) -> str:
        """The text with opposite places."""
        generator = numpy_generator(self._seed, sample_id, "wrong place", text)

        def opposite(entry: Entry) -> str:
            return entry.opposites[int(generator.integers(len(entry.opposites)))]

        turned = [word for word in words_of("place") if lexicon()[word].opposites]
        return contradicted(text, turned, opposite)
