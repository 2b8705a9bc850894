"""Truthful sentences about drawn scans: about one lesion, a scan without one, any lesion, or one class.

A class may occur in several kinds of scan; its sentences use only the words that are true in all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import pairwise, product

import numpy as np

from medsam_exp.data.phantom.lesions import LesionPlan
from medsam_exp.data.phantom.vocabulary import SHAPE_WORDS, SIZE_WORDS, VOCABULARIES, Vocabulary

COMPLETE = (
    "{scan} showing a {size} {tone} {shape} {noun} in the {place}",
    "a {size} {tone} {shape} {noun} in the {place} of the {scan}",
    "{scan}: {size} {shape} {tone} {name} in the {place}",
    "in the {place} there is a {size} {tone} {shape} {noun}, {scan}",
)
"""Name scan, size, tone, shape and place."""
_SHORTER = (
    "{size} {tone} {shape} {noun} in the {place}",
    "{tone} {shape} {noun}, {place}",
    "{size} {tone} {noun} in the {place}",
    "{scan} with a {size} {tone} {shape} {noun}",
    "{scan} showing a {name} in the {place}",
    "{size} {name} in the {place}",
    "a {tone} {shape} {noun}",
    "{noun} in the {place}",
    "{scan} showing a {name}",
    "{size} {shape} {noun}",
    "{name}",
)
"""Leave something out."""
_NORMAL = (
    "{scan} without a lesion",
    "normal {scan}",
    "{scan}, no {noun}",
    "no {noun} in the {scan}",
    "healthy {scan}",
    "no abnormality",
)


def lesion_captions(
    lesion: LesionPlan, vocabulary: Vocabulary, generator: np.random.Generator
) -> tuple[str, ...]:
    """Draw one sentence for each template.

    Args:
        lesion: what the sentences are about.
        vocabulary: words for the kind of scan.
        generator: chooses synonyms and the order of templates.

    Returns:
        Complete sentences first, then shorter ones.
    """
    choices = {
        "scan": vocabulary.scans,
        "size": SIZE_WORDS[lesion.size],
        "tone": vocabulary.tones[lesion.tone],
        "shape": SHAPE_WORDS[lesion.shape],
        "noun": vocabulary.nouns,
        "name": vocabulary.classes[lesion.tone, lesion.shape],
        "place": (lesion.place,),
    }
    complete = [COMPLETE[index] for index in generator.permutation(len(COMPLETE))]
    return tuple(_fill(template, choices, generator) for template in [*complete, *_SHORTER])


def normal_captions(vocabulary: Vocabulary, generator: np.random.Generator) -> tuple[str, ...]:
    """Draw sentences about a scan without a lesion.

    Args:
        vocabulary: words for the kind of scan.
        generator: chooses synonyms and the order of templates.
    """
    choices = {"scan": vocabulary.scans, "noun": vocabulary.nouns}
    return tuple(_fill(_NORMAL[index], choices, generator) for index in generator.permutation(len(_NORMAL)))


def _fill(template: str, choices: Mapping[str, Sequence[str]], generator: np.random.Generator) -> str:
    words = {key: options[int(generator.integers(len(options)))] for key, options in choices.items()}
    return _with_article(template.format(**words))


def _with_article(sentence: str) -> str:
    """Write "an" before a vowel."""
    words = sentence.split(" ")
    for index, (word, following) in enumerate(pairwise(words)):
        if word == "a" and following[0].lower() in "aeiou":
            words[index] = "an"
    return " ".join(words)


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
        _with_article(_FRAMES[(turn + number) % count].format(phrase))
        for turn in range(count)
        for number, phrase in enumerate(phrases)
    )
