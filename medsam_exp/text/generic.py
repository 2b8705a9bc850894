"""One sentence about the task, the same for every image (P2)."""

from collections.abc import Mapping, Sequence

from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import chosen
from medsam_exp.types import Sample


class Generic:
    """Says what the target looks like, whatever its subtype.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        index: which generic sentence, counted from 0.

    Raises:
        UserError: the sentences cannot be read, or there are not so many.
    """

    uses_class_labels = False
    tells = ""

    def __init__(self, sentences: str | None, lists: Mapping[str, str] | None = None, index: int = 0) -> None:
        known = read_sentences(sentences, lists)
        self.text = chosen(known.generic(), index, f"{known.source}, generic")

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The same sentence for every sample."""
        return {sample.id: (self.text,) for sample in samples}
