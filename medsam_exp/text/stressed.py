"""Base of stressed texts: those of a source, each changed by itself, to see whether masks depend on it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from medsam_exp.types import Sample, TextSource, UserError


class Stressed(ABC):
    """Changes every text of a source, whatever the other samples are.

    Attributes:
        how: what is done to a text, for the run's summary.
        needs: what a text must have, for errors.

    Args:
        source: the texts to change.
    """

    how: ClassVar[str]
    needs: ClassVar[str]

    def __init__(self, source: TextSource) -> None:
        self.uses_class_labels = source.uses_class_labels
        tells = getattr(source, "tells", "")
        self.tells = f"{self.how}: {tells}" if tells else ""
        self._source = source

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The changed texts of every sample, in their order, each once.

        Raises:
            UserError: a text stays as it is, so that nothing is stressed (or the source has no text).
        """
        return {
            sample_id: tuple(dict.fromkeys(self._changed(sample_id, text) for text in texts))
            for sample_id, texts in self._source.bind(samples).items()
        }

    @abstractmethod
    def stressed(self, sample_id: str, text: str) -> str:
        """One text as it is given instead.

        Args:
            sample_id: with a seed and the text it decides what is drawn at random.
            text: of the source.
        """

    def _changed(self, sample_id: str, text: str) -> str:
        changed = self.stressed(sample_id, text).strip()
        if not changed or changed == text:
            raise UserError(
                f"the text of sample {sample_id!r} cannot be stressed, as it has no {self.needs}: {text!r}; take "
                "others, as in text@text.source=description"
            )
        return changed
