"""A sentence about the subtype that each image shows (P3)."""

from collections.abc import Mapping, Sequence

from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import chosen
from medsam_exp.types import Sample


class Subtype:
    """Says what the image's own subtype looks like, such as a benign or a malignant tumor.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        index: which sentence of the subtype's list, counted from 0.

    Raises:
        UserError: the sentences cannot be read.
    """

    uses_class_labels = True
    tells = "each text says the true class of its image"

    def __init__(self, sentences: str | None, lists: Mapping[str, str] | None = None, index: int = 0) -> None:
        self._sentences, self._index = read_sentences(sentences, lists), index

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The sentence of every sample's subtype.

        Raises:
            UserError: a sample has no known class, or its list has not so many sentences.
        """
        subtypes = self._sentences.subtypes_of(samples)
        source, index = self._sentences.source, self._index
        return {
            sample_id: (chosen(subtype.sentences, index, f"{source}, {subtype.name}"),)
            for sample_id, subtype in subtypes.items()
        }
