"""The lexicon has every word of the project's own texts, each once, and its opposites are opposites."""

import csv
import itertools

import pytest

from medsam_exp.data.phantom.captions import COMPLETE
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.vocabulary import SHAPE_WORDS, SIZE_WORDS, VOCABULARIES
from medsam_exp.text.lexicon import LANGUAGES, LEXICON, contradicted, lexicon, replaced, words_of
from medsam_exp.text.stress_translated import untranslated


def rows() -> list[dict[str, str]]:
    with LEXICON.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_word_stands_once_and_has_every_translation() -> None:
    found = rows()
    assert len(lexicon()) == len(found) > 100
    assert list(found[0]) == ["english", "kind", "opposite", *LANGUAGES]
    for row in found:
        assert all(value == value.strip() for value in row.values())
        assert all(row[language] for language in LANGUAGES), row
        assert not any(
            sign.isascii() and sign.isalpha() for sign in row["chinese"].replace("T1", "").replace("X", "")
        )


def test_opposites_are_other_words_of_the_same_kind() -> None:
    for entry in lexicon().values():
        for opposite in entry.opposites:
            words = [opposite] if entry.kind != "place" else opposite.split()
            assert opposite.lower() != entry.english.lower()
            assert {lexicon()[word.lower()].kind for word in words} == {entry.kind}


def test_opposites_that_go_both_ways_do() -> None:
    for one, other in (("left", "right"), ("upper", "lower"), ("dark", "bright"), ("benign", "malignant")):
        assert lexicon()[one].opposites == (other,)
        assert lexicon()[other].opposites == (one,)


def test_every_class_tone_and_shape_of_drawn_scans_has_an_opposite() -> None:
    spoken = [word for words in SHAPE_WORDS.values() for word in words]
    for vocabulary in VOCABULARIES.values():
        spoken += [
            word for words in (*vocabulary.tones.values(), *vocabulary.classes.values()) for word in words
        ]
    opposed = [word for word in words_of("class", "tone", "shape") if lexicon()[word].opposites]
    for word in spoken:
        assert replaced(word, opposed, lambda entry: entry.opposites[0]) != word


def test_every_word_that_drawn_scans_may_say_is_translated() -> None:
    spoken = [word for words in (*SHAPE_WORDS.values(), *SIZE_WORDS.values()) for word in words]
    for vocabulary in VOCABULARIES.values():
        spoken += [*vocabulary.scans, *vocabulary.nouns]
        spoken += [
            word for words in (*vocabulary.tones.values(), *vocabulary.classes.values()) for word in words
        ]
    assert [word for phrase in spoken for word in untranslated(phrase)] == []
    frames = [
        frame.format(scan="", size="", tone="", shape="", noun="", name="", place="") for frame in COMPLETE
    ]
    assert [word for frame in frames for word in untranslated(frame)] == []
    samples = PhantomDataset(seed=7, count=60).samples
    texts = itertools.chain.from_iterable((sample.description, sample.contradiction) for sample in samples)
    assert [word for text in texts for word in untranslated(text)] == []
    assert untranslated("a dark mass beside the bladder") == ["beside", "the", "bladder"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dark Mass", "A bright Mass"),
        ("a darkish mass", "a darkish mass"),
        ("star-shaped, dark", "star-shaped, bright"),
        ("dark-rimmed", "dark-rimmed"),
    ],
)
def test_whole_words_alone_are_exchanged(text: str, expected: str) -> None:
    assert replaced(text, ["dark"], lambda entry: entry.opposites[0]) == expected


def test_longer_phrases_come_first() -> None:
    words = ["cyst", "simple cyst"]
    assert replaced("simple cyst, cyst", words, lambda entry: entry.english.upper()) == "SIMPLE CYST, CYST"


def test_only_the_article_of_an_exchanged_word_changes() -> None:
    def turned(text: str) -> str:
        return contradicted(
            text, ["round", "left"], lambda entry: {"round": "oval", "left": "right"}[entry.english]
        )

    assert turned("a round mass, A round one") == "an oval mass, An oval one"
    assert turned("an MRI with a unilateral mass on the left") == "an MRI with a unilateral mass on the right"
    assert turned("an X-ray of a hand") == "an X-ray of a hand"
