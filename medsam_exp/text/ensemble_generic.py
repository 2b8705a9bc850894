"""Many sentences about the task, the same for every image; their embeddings are averaged (P4)."""

from collections.abc import Mapping

from medsam_exp.text.base import SharedTexts
from medsam_exp.text.sentence_files import read_sentences
from medsam_exp.text.sentence_lists import first


class EnsembleGeneric(SharedTexts):
    """Prompt ensemble: several descriptions of the target, independent of its subtype.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        count: how many sentences, the first ones of the list; None for all.

    Raises:
        UserError: the sentences cannot be read, or there are not so many.
    """

    def __init__(
        self, sentences: str | None, lists: Mapping[str, str] | None = None, count: int | None = 20
    ) -> None:
        known = read_sentences(sentences, lists)
        super().__init__(*first(known.generic(), f"{known.source}, generic", count))
