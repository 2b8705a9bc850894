"""Truthful sentences about one lesion of a drawn scan, or about a scan without one."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from medsam_exp.data.phantom.lesions import LesionPlan
from medsam_exp.data.phantom.vocabulary import SHAPE_WORDS, SIZE_WORDS, Vocabulary

COMPLETE = (
    "{scan} showing a {size} {tone} {shape} {noun} in the {place}",
    "a {size} {tone} {shape} {noun} in the {place} of the {scan}",
    "{scan}: {size} {shape} {tone} {name} in the {place}",
    "in the {place} there is a {size} {tone} {shape} {noun}, {scan}",
)
"""Name scan, size, tone, shape and place."""
SHORTER = (
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
NORMAL = (
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
    """One sentence per template, words drawn among synonyms; complete sentences first."""
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
    return tuple(_fill(template, choices, generator) for template in [*complete, *SHORTER])


def normal_captions(vocabulary: Vocabulary, generator: np.random.Generator) -> tuple[str, ...]:
    """Sentences about a scan without a lesion."""
    choices = {"scan": vocabulary.scans, "noun": vocabulary.nouns}
    return tuple(_fill(NORMAL[index], choices, generator) for index in generator.permutation(len(NORMAL)))


def _fill(template: str, choices: Mapping[str, Sequence[str]], generator: np.random.Generator) -> str:
    words = {key: options[int(generator.integers(len(options)))] for key, options in choices.items()}
    return with_article(template.format(**words))


def with_article(sentence: str) -> str:
    """Write "an" before a vowel."""
    words = sentence.split(" ")
    for index, (word, following) in enumerate(pairwise(words)):
        if word == "a" and following[0].lower() in "aeiou":
            words[index] = "an"
    return " ".join(words)
