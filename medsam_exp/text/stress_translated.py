"""Stress: each text in another language, word for word."""

import logging
import re
from collections.abc import Sequence
from typing import ClassVar

from medsam_exp.runtime.wording import did_you_mean, first_few
from medsam_exp.text.lexicon import LANGUAGES, pattern, replaced, words_of
from medsam_exp.text.stressed import Stressed
from medsam_exp.types import Sample, TextSource, UserError

log = logging.getLogger(__name__)

_WORD = re.compile(r"[^\W\d_][\w-]*")
_WITHOUT_SPACES = ("chinese",)
_SPACE_BETWEEN = re.compile(r"(?<=[^\x00-\x7f])\s+(?=[^\x00-\x7f])")


class Translated(Stressed):
    """Translates every word and phrase that the project's own lexicon has, in its dictionary form and in place.

    The lexicon has the words of drawn scans and of the targets. What it lacks stays English, and the run says which
    words these are. Order of words and grammar stay English, too: it is the vocabulary that is stressed.

    Args:
        source: English texts.
        language: "german", "french", "spanish" or "chinese".

    Raises:
        UserError: the language is unknown.
    """

    how: ClassVar[str] = "translated word for word"
    needs: ClassVar[str] = "word that the lexicon translates"

    def __init__(self, source: TextSource, language: str) -> None:
        super().__init__(source)
        if language not in LANGUAGES:
            raise UserError(
                f"text.language={language} is not in the lexicon; {did_you_mean(language, LANGUAGES)}"
            )
        self._language = language

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The translated texts of every sample; logs the words that stay English.

        Raises:
            UserError: a text has no word that is translated.
        """
        kept = dict.fromkeys(
            word
            for texts in self._source.bind(samples).values()
            for text in texts
            for word in untranslated(text)
        )
        if kept:
            log.warning("text: %d words stay English: %s", len(kept), first_few(kept))
        return super().bind(samples)

    def stressed(self, sample_id: str, text: str) -> str:
        """The text with translated words."""
        del sample_id
        translated = replaced(text, words_of(), lambda entry: entry.translations[self._language])
        return _SPACE_BETWEEN.sub("", translated) if self._language in _WITHOUT_SPACES else translated


def untranslated(text: str) -> list[str]:
    """Words of a text that the lexicon does not have, in their order."""
    return _WORD.findall(pattern(words_of()).sub(" ", text))
