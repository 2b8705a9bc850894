"""The name of the subtype that each image shows (P1)."""

from collections.abc import Mapping, Sequence

from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import in_words, require_classes
from medsam_exp.types import Sample


class SubtypeName:
    """The name of the subtype that the image shows, such as "benign breast tumor".

    Args:
        sentences: lists that know the subtypes' names: a name of the package, or a .json or .py file. None: each
            class is its own name, with spaces for underscores ("left lung").
        lists: for a .py file, names of its lists by class and "generic".

    Raises:
        UserError: the sentences cannot be read.
    """

    uses_class_labels = True
    tells = "each text says the true class of its image"

    def __init__(self, sentences: str | None, lists: Mapping[str, str] | None = None) -> None:
        self._sentences = read_sentences(sentences, lists) if sentences else None

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The name of every sample's subtype.

        Raises:
            UserError: a sample has no class, or one that the lists do not know.
        """
        if self._sentences is None:
            require_classes(samples)
            return {sample.id: (in_words(sample.class_name or ""),) for sample in samples}
        subtypes = self._sentences.subtypes_of(samples)
        return {sample_id: (subtype.name,) for sample_id, subtype in subtypes.items()}
