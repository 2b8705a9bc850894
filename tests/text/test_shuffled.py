import pytest

from medsam_exp.text.description import Description
from medsam_exp.text.free import FreeText
from medsam_exp.text.shuffled import Shuffled
from medsam_exp.types import Sample, UserError


def samples(count: int, texts: int | None = None) -> list[Sample]:
    return [Sample(f"s{i:03}", None, f"text {i % (texts or count)}") for i in range(count)]


@pytest.mark.parametrize("count", [2, 3, 7, 100])
@pytest.mark.parametrize("seed", range(5))
def test_nobody_keeps_the_own_text_and_every_text_is_used(count, seed):
    own, given = Description().bind(samples(count)), Shuffled(Description(), seed).bind(samples(count))
    assert list(given) == list(own)
    assert all(given[sample_id] != own[sample_id] for sample_id in own)
    assert sorted(given.values()) == sorted(own.values())


@pytest.mark.parametrize("texts", [2, 3, 10])
def test_equal_texts_are_not_exchanged(texts):
    own, given = Description().bind(samples(60, texts)), Shuffled(Description(), 0).bind(samples(60, texts))
    assert all(given[sample_id] != own[sample_id] for sample_id in own)
    assert sorted(given.values()) == sorted(own.values())


def test_one_frequent_text_leaves_as_few_as_can_be():
    mixed = [Sample(f"s{i}", None, "rare" if i < 3 else "frequent") for i in range(10)]
    own, given = Description().bind(mixed), Shuffled(Description(), 0).bind(mixed)
    assert sum(given[i] == own[i] for i in own) == 4  # of 7 frequent ones, 3 can get the rare text
    assert sorted(given.values()) == sorted(own.values())


def test_depends_on_seed_and_not_on_order():
    shuffled = Shuffled(Description(), 1)
    assert shuffled.bind(samples(50)) == shuffled.bind(samples(50)[::-1])
    assert shuffled.bind(samples(50)) != Shuffled(Description(), 2).bind(samples(50))


def test_neighbours_in_the_alphabet_are_not_preferred():
    given = Shuffled(Description(), 0).bind(samples(200))
    steps = [(int(text.split()[1]) - int(sample_id[1:])) % 200 for sample_id, (text,) in given.items()]
    assert len(set(steps)) > 50


@pytest.mark.parametrize("source", [FreeText("one text"), Description()])
def test_nothing_to_shuffle(source):
    with pytest.raises(UserError, match="changes nothing"):
        Shuffled(source, 0).bind(samples(1))


def test_labels_are_declared_as_by_the_source():
    assert Shuffled(Description(), 0).uses_class_labels
    assert not Shuffled(FreeText("x"), 0).uses_class_labels
