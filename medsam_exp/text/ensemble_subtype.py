"""Many sentences about the subtype that each image shows; their embeddings are averaged (P5)."""

from collections.abc import Mapping, Sequence

from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import first
from medsam_exp.types import Sample


class EnsembleSubtype:
    """Says in several ways what the image's own subtype looks like.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        count: how many sentences, the first ones of the subtype's list; None for all.

    Raises:
        UserError: the sentences cannot be read.
    """

    uses_class_labels = True
    tells = "each text says the true class of its image"

    def __init__(
        self, sentences: str | None, lists: Mapping[str, str] | None = None, count: int | None = 20
    ) -> None:
        self._sentences, self._count = read_sentences(sentences, lists), count

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The sentences of every sample's subtype.

        Raises:
            UserError: a sample has no known class, or its list has not so many sentences.
        """
        subtypes = self._sentences.subtypes_of(samples)
        source, count = self._sentences.source, self._count
        return {
            sample_id: first(subtype.sentences, count, f"{source}, {subtype.name}")
            for sample_id, subtype in subtypes.items()
        }
