"""Many sentences about the subtype that each image shows; their embeddings are averaged (P5)."""

from collections.abc import Mapping
from functools import partial

from medsam_exp.text.base import SubtypeTexts
from medsam_exp.text.sentence_lists import first


class EnsembleSubtype(SubtypeTexts):
    """Prompt ensemble: several descriptions of the subtype that the image shows.

    Args:
        sentences: name of lists of the package, or a .json or .py file.
        lists: for a .py file, names of its lists by class and "generic".
        count: how many sentences, the first ones of the subtype's list; None for all.

    Raises:
        UserError: the sentences cannot be read.
    """

    def __init__(
        self, sentences: str | None, lists: Mapping[str, str] | None = None, count: int | None = 20
    ) -> None:
        super().__init__(sentences, lists, partial(first, count=count))
