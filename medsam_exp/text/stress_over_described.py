"""Stress: each text is followed by sentences that say nothing of the target."""

from typing import ClassVar

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.text.stressed import Stressed
from medsam_exp.types import TextSource, UserError

PADDING = (
    "The scan was acquired with the usual settings.",
    "Image quality is good enough to read.",
    "No earlier scan was there to compare with.",
    "The scan was read twice on the same day.",
    "Brightness and contrast were not changed.",
    "The patient was referred by another department.",
    "The report was signed in the afternoon.",
    "A copy was sent to the referring physician.",
)
"""Sentences that are true of any scan and of no part of it."""


class OverDescribed(Stressed):
    """Puts sentences behind each text that say nothing of the target. The text itself stays true and whole.

    A network whose context is shorter reads the text and the first of them; the run says where it stops.

    Args:
        source: the texts to lengthen.
        sentences: how many are added, 1 to 8.
        seed: chooses which, and their order.

    Raises:
        UserError: there are not so many sentences.
    """

    how: ClassVar[str] = "with sentences that say nothing of the target behind it"
    needs: ClassVar[str] = "room for more"

    def __init__(self, source: TextSource, sentences: int, seed: int = 0) -> None:
        super().__init__(source)
        if not 1 <= sentences <= len(PADDING):
            raise UserError(f"text.sentences is {sentences}: give 1 to {len(PADDING)}")
        self._sentences, self._seed = sentences, seed

    def stressed(self, sample_id: str, text: str) -> str:
        """The text with further sentences."""
        generator = numpy_generator(self._seed, sample_id, "over-described", text)
        chosen = [PADDING[index] for index in generator.permutation(len(PADDING))[: self._sentences]]
        return " ".join([f"{text.rstrip('.')}.", *chosen])
