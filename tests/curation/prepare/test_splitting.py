"""Splits: groups stay whole, order does not matter, numbers are met, classes keep their proportion."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from medsam_exp.curation.prepare.layout import SPLITS, PreparedImage
from medsam_exp.curation.prepare.splitting import divided
from medsam_exp.types import UserError

SHARES = "train=0.6,val=0.1,test=0.3"


def member(name: str, group: str = "", class_name: str = "") -> PreparedImage:
    return PreparedImage(name, "", lambda: (np.zeros((2, 2), np.uint8), None), class_name, group)


def split_members(members: list[PreparedImage], amounts: str, seed: int) -> dict[str, str]:
    return {case.name: case.split for case in divided(members, amounts, seed)}


def random_members(seed: int) -> list[PreparedImage]:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(20, 120))
    groups = int(draw.integers(3, count))
    return [
        member(f"i{n}", str(draw.choice(["", *map(str, range(groups))])), str(draw.choice(["a", "b", "c"])))
        for n in range(count)
    ]


@pytest.mark.parametrize(
    "text", ["train=0.4,val=0.3,test=0.3", "train=rest,val=4,test=7", "train=80%,test=20%"]
)
def test_a_group_is_never_on_two_sides(text: str) -> None:
    for seed in range(40):
        members = random_members(seed)
        found = split_members(members, text, seed)
        assert found.keys() == {member.name for member in members}
        sides = defaultdict(set)
        for member in members:
            sides[member.group or member.name].add(found[member.name])
        assert all(len(side) == 1 for side in sides.values()), f"seed {seed}"


@pytest.mark.parametrize("text", ["train=0.6,val=0.1,test=0.3", "train=rest,val=4,test=7"])
def test_order_changes_nothing(text: str) -> None:
    members = random_members(3)
    assert split_members(members, text, 1) == split_members(members[::-1], text, 1)
    assert split_members(members, text, 1) != split_members(members, text, 2)


def test_with_shares_new_images_move_no_old_one() -> None:
    old = [member(f"i{n}", f"g{n // 3}", "ab"[n % 2]) for n in range(90)]
    new = [member(f"new{n}", f"h{n // 2}", "c") for n in range(50)]
    before, after = split_members(old, SHARES, 0), split_members([*new, *old], SHARES, 0)
    assert before == {name: after[name] for name in before}


def test_shares_are_met_on_average() -> None:
    found = Counter(split_members([member(str(n)) for n in range(5000)], SHARES, 0).values())
    for split, share in (("train", 0.6), ("val", 0.1), ("test", 0.3)):
        assert found[split] / 5000 == pytest.approx(share, abs=0.02)


def test_numbers_are_met_and_classes_keep_their_proportion() -> None:
    members = [member(f"i{n}", class_name="benign" if n % 3 else "malignant") for n in range(300)]
    found = split_members(members, "train=rest,val=30,test=61", 0)
    assert Counter(found.values()) == {"train": 209, "val": 30, "test": 61}
    per_class = Counter((found[member.name], member.class_name) for member in members)
    assert per_class["val", "malignant"] == 10
    assert per_class["test", "malignant"] in (20, 21)


def test_numbers_of_all_splits_may_be_given() -> None:
    members = [member(f"i{n}") for n in range(10)]
    found = split_members(members, "train=5,val=2,test=3", 0)
    assert Counter(found.values()) == {"train": 5, "val": 2, "test": 3}


def test_one_new_image_moves_few_old_ones_when_numbers_are_given() -> None:
    members = [member(f"i{n}", class_name="ab"[n % 2]) for n in range(200)]
    amounts = "train=rest,val=20,test=40"
    before = split_members(members, amounts, 0)
    after = split_members([*members, member("new", class_name="a")], amounts, 0)
    assert sum(before[name] != after[name] for name in before) <= 6


def test_large_groups_go_as_near_to_the_numbers_as_they_fit() -> None:
    members = [member(f"i{n}", f"g{n // 7}") for n in range(70)]
    found = Counter(split_members(members, "train=rest,val=14,test=20", 0).values())
    assert found == {"train": 42, "val": 14, "test": 14}  # three groups of seven would be more than 20


def test_a_group_and_an_image_of_the_same_name_are_told_apart() -> None:
    found = split_members([member("x"), member("y", group="x")], "train=1,test=1", 0)
    assert sorted(found.values()) == ["test", "train"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.8/0.1/0.1", "is not understood"),
        ("train=0.8,eval=0.2", "is not understood"),
        ("train=0.8,val=0.1", "add up to 0.9"),
        ("train=rest,val=rest", "more than one rest"),
        ("train=rest,val=0.2", "mixes numbers of images"),
        ("train=80%,val=0.2", "mixes shares and per cent"),
        ("train=80%,val=rest", "mixes numbers of images"),
        ("train=80%,val=30%", "add up to 110: let them add up to 100"),
        ("train=0.8,train=0.2", "is not understood"),
    ],
)
def test_splits_that_are_not_understood(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        split_members([], text, 0)


@pytest.mark.parametrize("text", ["train=rest,val=40", "train=1,val=2,test=3"])
def test_numbers_that_do_not_fit(text: str) -> None:
    with pytest.raises(UserError, match="there are 10"):
        split_members([member(str(n)) for n in range(10)], text, 0)


def test_all_in_one_split() -> None:
    found = split_members([member("a"), member("b")], "test=1", 0)
    assert set(found.values()) == {"test"}
    assert set(SPLITS) == {"train", "val", "test"}


def test_per_cent_are_met_and_no_split_is_empty() -> None:
    amounts = "train=80%,val=10%,test=10%"
    found = split_members([member(f"i{n}") for n in range(50)], amounts, 0)
    assert Counter(found.values()) == {"train": 40, "val": 5, "test": 5}
    few = split_members([member(f"i{n}") for n in range(4)], amounts, 0)
    assert Counter(few.values()) == {"train": 2, "val": 1, "test": 1}


def test_shares_that_leave_a_split_empty() -> None:
    with pytest.raises(UserError, match="none of 2 images or groups falls to"):
        split_members([member("a"), member("b")], SHARES, 0)
