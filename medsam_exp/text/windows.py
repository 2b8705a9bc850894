"""Long texts split into windows within a CLIP model's context length; their embeddings are averaged."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from medsam_exp.types import Sample, TextSource, UserError

_SENTENCE_ENDS = re.compile(r"(?<=[.;!?])\s+|(?<=[。；！？])|\n+")  # ends of Chinese sentences


class Windows:
    """Divides the texts of a source between sentences, and a sentence of too many words within it.

    A text of few words stays as it is. What a model reads is bounded by tokens, of which a word has one or more; a run
    names the pieces that are still cut.

    Args:
        source: the texts to divide.
        words: words of a piece at most (of a text without spaces, characters); of 40, most stay below the 77 tokens
            of OpenAI's models.

    Raises:
        UserError: `words` is less than 1.
    """

    def __init__(self, source: TextSource, words: int) -> None:
        if words < 1:
            raise UserError(f"text.words is {words}: give the words of a piece, at least 1")
        self.uses_class_labels, self.tells = source.uses_class_labels, getattr(source, "tells", "")
        self._source, self._words = source, words

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The pieces of every sample's texts in their order, each once.

        Raises:
            UserError: as the source.
        """
        return {
            sample_id: tuple(dict.fromkeys(piece for text in texts for piece in self._pieces(text)))
            for sample_id, texts in self._source.bind(samples).items()
        }

    def _pieces(self, text: str) -> Iterator[str]:
        """As many sentences as fit, again and again."""
        spaced = len(text.split()) > 1
        space = " " if spaced else ""
        words_of: Callable[[str], list[str]] = str.split if spaced else list
        if len(words_of(text)) <= self._words:
            yield text
            return
        piece: list[str] = []
        for sentence in map(words_of, _SENTENCE_ENDS.split(text)):
            if piece and len(piece) + len(sentence) > self._words:
                yield space.join(piece)
                piece = []
            piece += sentence
            if len(piece) > self._words:
                yield from _windows(piece, self._words, space)
                piece = []
        if piece:
            yield space.join(piece)


def _windows(words: list[str], most: int, space: str) -> Iterator[str]:
    """As few pieces as possible, of nearly equal length."""
    count = -(-len(words) // most)
    bounds = [round(number * len(words) / count) for number in range(count + 1)]
    for start, end in pairwise(bounds):
        yield space.join(words[start:end])
