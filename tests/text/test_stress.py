"""Stressed texts: what is done to each, by itself, whatever the order and the other samples."""

import logging
import random
import re
from functools import cache

import pytest

from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.data.phantom.vocabulary import place_name
from medsam_exp.text.description import Description
from medsam_exp.text.free import FreeText
from medsam_exp.text.lexicon import LANGUAGES, words_of
from medsam_exp.text.stress_misspelt import Misspelt
from medsam_exp.text.stress_no_place import NoPlace
from medsam_exp.text.stress_over_described import PADDING, OverDescribed
from medsam_exp.text.stress_translated import Translated
from medsam_exp.text.stress_wrong_class import WrongClass
from medsam_exp.text.stress_wrong_place import WrongPlace
from medsam_exp.text.stressed import Stressed
from medsam_exp.types import Sample, TextSource, UserError

SAMPLES = PhantomDataset(seed=5, count=48).samples
OWN = Description().bind(SAMPLES)
PLACES = {place_name(row / 3 + 0.1, column / 3 + 0.1) for row in range(3) for column in range(3)}


def kinds(source: TextSource, seed: int = 0) -> list[Stressed]:
    return [
        WrongPlace(source, seed), WrongClass(source), NoPlace(source), OverDescribed(source, 4, seed),
        Misspelt(source, 0.5, seed), *(Translated(source, language) for language in LANGUAGES),
    ]  # fmt: skip


def one(stress: type[Stressed], text: str, *arguments: object) -> str:
    """What one text becomes."""
    (found,) = stress(FreeText(text), *arguments).bind([Sample("s")])["s"]
    return found


def said_place(text: str) -> str:
    """The place that a text says, read by another rule than the one under test; "" for none."""
    found = re.findall(r"\b(?:(?:upper|middle|lower) (?:left|middle|right)|center)\b", text)
    assert len(found) <= 1
    return found[0] if found else ""


@pytest.mark.parametrize("number", range(9))
def test_every_text_changes_by_itself(number: int) -> None:
    stress = kinds(Description())[number]
    found = stress.bind(SAMPLES)
    assert all(found[name] != OWN[name] for name in OWN)
    mixed = list(SAMPLES)
    random.Random(1).shuffle(mixed)
    assert stress.bind(mixed) == found
    assert kinds(Description())[number].bind(SAMPLES) == found
    for sample in SAMPLES[:5]:
        assert stress.bind([sample]) == {sample.id: found[sample.id]}


def test_what_is_drawn_at_random_depends_on_the_seed() -> None:
    for first, second in zip(kinds(Description()), kinds(Description(), seed=1), strict=True):
        same = first.bind(SAMPLES) == second.bind(SAMPLES)
        assert same is not isinstance(first, WrongPlace | OverDescribed | Misspelt)


def test_a_wrong_place_is_another_place_and_all_else_stays() -> None:
    found = WrongPlace(Description()).bind(SAMPLES)
    for name, (text,) in OWN.items():
        before, after = said_place(text), said_place(found[name][0])
        assert before in PLACES
        assert after in PLACES - {before}
        assert found[name][0] == text.replace(before, after)
    assert len({said_place(found[name][0]) for name, (text,) in OWN.items() if "center" in text}) > 1


def test_a_wrong_class_contradicts_and_leaves_place_and_size() -> None:
    assert one(WrongClass, "a small dark round cyst in the upper left") == (
        "a small bright spiculated carcinoma in the upper left"
    )
    assert one(WrongClass, "an oval benign mass") == "a lobulated malignant mass"
    found = WrongClass(Description()).bind(SAMPLES)
    for name, (text,) in OWN.items():
        before, after = (set(re.findall(r"[\w-]+", said)) for said in (text, found[name][0]))
        assert said_place(text) == said_place(found[name][0])
        looks = set(words_of("tone", "shape")) & before
        assert looks
        assert not looks & after


def test_no_place_takes_the_place_away_and_nothing_else() -> None:
    assert one(NoPlace, "in the upper left there is a dark mass, lung CT") == "a dark mass, lung CT"
    assert one(NoPlace, "dark round mass, middle right") == "dark round mass"
    assert one(NoPlace, "a mass in the center of the breast") == "a mass of the breast"
    assert one(NoPlace, "Lung CT: a mass at the left.") == "Lung CT: a mass."
    found = NoPlace(Description()).bind(SAMPLES)
    for name, (text,) in OWN.items():
        assert said_place(found[name][0]) == ""
        lost = set(re.findall(r"[\w-]+", text)) - set(re.findall(r"[\w-]+", found[name][0]))
        assert lost <= {*said_place(text).split(), "in", "the", "there", "is"}


def test_an_over_described_text_begins_with_itself() -> None:
    found = OverDescribed(Description(), 3).bind(SAMPLES)
    for name, (text,) in OWN.items():
        (longer,) = found[name]
        assert longer.startswith(f"{text}. ")
        assert sum(sentence in longer for sentence in PADDING) == 3
    assert len({tuple(text[len(OWN[name][0]) :] for text in texts) for name, texts in found.items()}) > 10
    named = set(words_of("place", "tone", "shape", "size", "class"))
    assert not named & set(re.findall(r"[\w-]+", " ".join(PADDING).lower())), (
        "padding says nothing of the target"
    )


@cache
def distance(one: str, other: str) -> int:
    """Edits between two words, an exchange of neighbours counting as one (Damerau), by its definition."""
    if not one or not other:
        return len(one) + len(other)
    best = min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )
    if len(one) > 1 < len(other) and one[:2] == other[1::-1]:
        best = min(best, distance(one[2:], other[2:]) + 1)
    return best


def test_misspelt_words_are_one_error_away() -> None:
    found = Misspelt(Description(), 0.5).bind(SAMPLES[:12])
    for name, (text,) in found.items():
        before, after = (re.findall(r"[^\W\d_]+", said) for said in (OWN[name][0], text))
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) == round(0.5 * sum(len(word) >= 4 for word in before))
        for old, new in changed:
            assert old[0] == new[0]
            assert distance(old, new) == 1


def test_every_longer_word_may_be_misspelt_and_short_ones_never_are() -> None:
    assert one(Misspelt, "CT of a cyst", 0.01, 0).startswith("CT of a c")
    text = one(Misspelt, "a dark mass in the left lung", 1.0, 0)
    assert [word for word in text.split() if word in {"dark", "mass", "left", "lung"}] == []
    assert {"a", "in", "the"} <= set(text.split())


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("german", "ein dunkel rund Zyste in der oben links"),
        ("french", "un sombre rond kyste dans la supérieure gauche"),
        ("spanish", "un oscuro redondo quiste en la superior izquierda"),
        ("chinese", "一个暗圆形囊肿位于上左"),
    ],
)
def test_words_are_translated_in_place(language: str, expected: str) -> None:
    assert one(Translated, "a dark round cyst in the upper left", language) == expected


def test_words_without_translation_stay_and_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert one(Translated, "a dark bladder", "german") == "ein dunkel bladder"
        Translated(Description(), "german").bind(SAMPLES)
    assert caplog.messages == ["text: 1 words stay English: bladder"]


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_a_text_that_stays_as_it_is_is_refused(number: int) -> None:
    with pytest.raises(
        UserError, match=r"sample 's' cannot be stressed, as it has no word .*: 'xyz'; take others"
    ):
        kinds(FreeText("xyz"))[number].bind([Sample("s")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda source: Misspelt(source, 0.0), "text.share is 0.0"),
        (lambda source: Misspelt(source, 1.5), "text.share is 1.5"),
        (lambda source: OverDescribed(source, 0), "text.sentences is 0"),
        (lambda source: OverDescribed(source, 9), "text.sentences is 9"),
        (
            lambda source: Translated(source, "germn"),
            "text.language=germn is not in the lexicon; did you mean german",
        ),
    ],
)
def test_settings_that_make_no_sense(make, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        make(FreeText("a dark mass"))


def test_labels_are_declared_as_by_the_source() -> None:
    for stress in kinds(Description()):
        assert stress.uses_class_labels
        assert stress.tells == f"{stress.how}: {Description.tells}"
    assert all(not stress.uses_class_labels and not stress.tells for stress in kinds(FreeText("x")))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a mass in the left lung", "a mass in the lung"),
        ("a mass on the left side", "a mass"),
        ("two infected areas, upper left lung and lower right lung", "two infected areas, lung and lung"),
        ("in the upper left there is a dark mass", "a dark mass"),
        ("a mass, upper left", "a mass"),
    ],
)
def test_a_place_that_belongs_to_a_noun_leaves_the_noun_joined(text: str, left: str) -> None:
    assert NoPlace.stressed(NoPlace.__new__(NoPlace), "", text) == left
