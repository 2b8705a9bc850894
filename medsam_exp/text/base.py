"""Bases of text sources: one text for all images, or the sentences of each image's subtype."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.types import Sample


class SharedTexts:
    """The same texts for every image.

    Args:
        texts: one or more; the embeddings of several are averaged.
    """

    uses_class_labels: ClassVar[bool] = False
    tells: ClassVar[str] = ""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The same texts for every sample, by its id."""
        return {sample.id: self.texts for sample in samples}


class SubtypeTexts:
    """Texts about the subtype that each image shows.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        choose: takes the texts of one subtype's list; its second argument names the list in errors.

    Raises:
        UserError: the sentences cannot be read.
    """

    uses_class_labels: ClassVar[bool] = True
    tells: ClassVar[str] = "each text says the true class of its image"

    def __init__(
        self,
        sentences: str | None,
        lists: Mapping[str, str] | None,
        choose: Callable[[Sequence[str], str], tuple[str, ...]],
    ) -> None:
        self._sentences, self._choose = read_sentences(sentences, lists), choose

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The texts of every sample's subtype, by the sample's id.

        Raises:
            UserError: a sample has no known class, or its list has too few sentences.
        """
        return {
            sample_id: self._choose(subtype.sentences, f"{self._sentences.source}, {subtype.name}")
            for sample_id, subtype in self._sentences.subtypes_of(samples).items()
        }
