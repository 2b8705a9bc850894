"""Sentences about drawn scans that do not know the single lesion: about any of them, or about one class.

A class may occur in several kinds of scan; its sentences use only the words that are true in all of them.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import product

from medsam_exp.data.phantom.captions import with_article
from medsam_exp.data.phantom.vocabulary import SHAPE_WORDS, VOCABULARIES, Vocabulary

_FRAMES = ("image showing a {}", "a {}", "a {} in the image", "there is a {}", "image with a {}")
_ANY_LESION = ("lesion", "mass", "finding", "abnormality")

Use = tuple[Vocabulary, str, str]
"""A kind of scan in which a class occurs, and its tone and shape there."""


def generic_sentences() -> tuple[str, ...]:
    """20 sentences that fit every scan with a lesion."""
    return _in_frames(_ANY_LESION)


def subtype_sentences() -> dict[str, tuple[str, ...]]:
    """20 sentences or more by class name, each true of every lesion of the class."""
    uses: dict[str, list[Use]] = {}
    for vocabulary in VOCABULARIES.values():
        for (tone, shape), names in vocabulary.classes.items():
            uses.setdefault(names[0], []).append((vocabulary, tone, shape))
    return {class_name: _in_frames(_phrases(found)) for class_name, found in uses.items()}


def _phrases(uses: Sequence[Use]) -> tuple[str, ...]:
    """What a lesion may be called, the most telling first."""
    tones = _shared(vocabulary.tones[tone] for vocabulary, tone, _ in uses)
    shapes = _shared(SHAPE_WORDS[shape] for _, _, shape in uses)
    nouns = _shared(vocabulary.nouns for vocabulary, _, _ in uses)
    names = _shared(vocabulary.classes[tone, shape] for vocabulary, tone, shape in uses)
    words = [*product(tones, shapes, nouns), *product(shapes, names), *product(tones, names)]
    return tuple(" ".join(phrase) for phrase in [*words, *product(tones, nouns), *product(names)])


def _shared(options: Iterable[Sequence[str]]) -> list[str]:
    """Words that all options have, in the first one's order."""
    return reduce(lambda known, more: [word for word in known if word in more], map(list, options))


def _in_frames(phrases: Sequence[str]) -> tuple[str, ...]:
    """Every phrase in every frame; each phrase comes once before any comes again."""
    count = len(_FRAMES)
    return tuple(
        with_article(_FRAMES[(turn + number) % count].format(phrase))
        for turn in range(count)
        for number, phrase in enumerate(phrases)
    )
