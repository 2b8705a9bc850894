"""The words of this project's own texts: their opposites and their translations (`lexicon.csv`).

The words are those of the drawn scans' sentences and of the targets. Translations are of single words and phrases, in
their dictionary form; they make no sentences of good grammar.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LEXICON = Path(__file__).with_suffix(".csv")
LANGUAGES = ("german", "french", "spanish", "chinese")


@dataclass(frozen=True)
class Entry:
    """A word or phrase.

    Attributes:
        english: as it stands in texts.
        kind: "place", "tone", "shape", "size", "noun", "class", "scan" or "frame".
        opposites: words of the same kind that cannot be true at the same time; none for most.
        translations: by language.
    """

    english: str
    kind: str
    opposites: tuple[str, ...]
    translations: dict[str, str]


@cache
def lexicon() -> dict[str, Entry]:
    """All entries by their English words, in small letters."""
    with LEXICON.open(newline="", encoding="utf-8") as file:
        return {row["english"].lower(): _entry(row) for row in csv.DictReader(file)}


def words_of(*kinds: str) -> list[str]:
    """The English words of some kinds, in small letters; of none given, all."""
    return [word for word, entry in lexicon().items() if not kinds or entry.kind in kinds]


def replaced(text: str, words: Iterable[str], by: Callable[[Entry], str]) -> str:
    """A text with every whole word or phrase exchanged, longer phrases before shorter ones, each place once.

    Args:
        text: in English.
        words: entries to exchange, by their English words in small letters.
        by: what an entry becomes.
    """
    return pattern(words).sub(lambda found: by(lexicon()[found[0].lower()]), text)


def pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Finds whole words and phrases, longer ones first."""
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE)


def contradicted(text: str, words: Iterable[str], by: Callable[[Entry], str]) -> str:
    """As `replaced`, with the article directly before an exchanged word made to fit it; other articles stay."""

    def exchanged(found: re.Match[str]) -> str:
        word = by(lexicon()[found["word"].lower()])
        if not (article := found["article"]):
            return word
        return f"{article[0]}{'n' if word[0].lower() in 'aeiou' else ''} {word}"

    return re.sub(
        rf"(?P<article>(?<![\w-])an? )?(?P<word>{pattern(words).pattern})",
        exchanged,
        text,
        flags=re.IGNORECASE,
    )


def _entry(row: dict[str, str]) -> Entry:
    opposites = tuple(filter(None, row["opposite"].split("|")))
    return Entry(row["english"], row["kind"], opposites, {language: row[language] for language in LANGUAGES})
