"""Stress: each text says another class and look than the true ones, at the true place."""

from typing import ClassVar

from medsam_exp.text.lexicon import contradicted, lexicon, words_of
from medsam_exp.text.stressed import Stressed


class WrongClass(Stressed):
    """Exchanges names of classes, tones and shapes for such that cannot be true at the same time.

    "a dark round cyst in the upper left" becomes "a bright spiculated carcinoma in the upper left". Place and size stay
    true.

    Args:
        source: the texts to change; each must say a class, a tone or a shape.
    """

    how: ClassVar[str] = "with its class, tone and shape exchanged"
    needs: ClassVar[str] = "word of a class, tone or shape with an opposite (benign, dark, round, ...)"

    def stressed(self, sample_id: str, text: str) -> str:
        """The text with opposite classes, tones and shapes."""
        del sample_id
        exchanged = [word for word in words_of("class", "tone", "shape") if lexicon()[word].opposites]
        return contradicted(text, exchanged, lambda entry: entry.opposites[0])
