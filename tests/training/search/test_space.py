"""What a search may vary: lists and ranges, and every mistake in them is one sentence."""

import pytest

from medsam_exp.training.search.space import Choices, Range, edges, grid, parse_space
from medsam_exp.types import UserError


def test_a_tree_like_the_configuration_becomes_dotted_keys_in_order() -> None:
    space = parse_space(
        {
            "saliency": {"layer": [2, 3], "beta": {"low": 0.1, "high": 10.0, "log": True}},
            "postprocess": {"bins": [64]},
        }
    )
    assert list(space.items()) == [
        ("saliency.layer", Choices((2, 3))),
        ("saliency.beta", Range(0.1, 10.0, log=True)),
        ("postprocess.bins", Choices((64,))),
    ]


@pytest.mark.parametrize(
    ("node", "listed"),
    [
        ({"low": 2, "high": 5}, [2, 3, 4, 5]),
        ({"low": 2, "high": 7, "step": 2}, [2, 4, 6]),
        ({"low": 0.1, "high": 0.3, "step": 0.1}, [0.1, 0.2, 0.3]),
        ([0.5, None, "box"], [0.5, None, "box"]),
    ],
)
def test_a_grid_lists_every_value_and_both_ends(node: object, listed: list[object]) -> None:
    assert grid(parse_space({"a": {"b": node}}))["a.b"] == pytest.approx(listed)


def test_the_edges_of_an_entry_are_all_choices_or_both_ends() -> None:
    assert edges(Choices((3, 1, 2))) == (3, 1, 2)
    assert edges(Range(0.5, 2.0)) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, "search.space is empty"),
        ({"a": {"b": []}}, "search.space.a.b is []"),
        ({"a": {"b": 3}}, "search.space.a.b is 3; give a list"),
        ({"a": {"b": [[1]]}}, "neither a number nor a word"),
        ({"a": {"b": [1, 1]}}, "search.space.a.b names a value twice"),
        ({"a": {"b": {"low": 1}}}, "search.space.a.b needs low and high"),
        ({"a": {"b": {"low": 1, "high": 2, "stepp": 1}}}, "but has low, high, stepp"),
        ({"a": {"b": {"low": 2, "high": 2}}}, "needs low < high"),
        ({"a": {"b": {"low": 1, "high": 2, "step": 0}}}, "step > 0"),
        ({"a": {"b": {"low": 0, "high": 2, "log": True}}}, "needs low > 0"),
        ({"a": {"b": {"low": 1, "high": 2, "log": True, "step": 1}}}, "no step"),
        ({"a": {"b": {"low": "few", "high": 2}}}, "not a number"),
        ({"a": {"b": {"low": 1, "high": float("inf")}}}, "not a number"),
    ],
)
def test_a_mistake_in_the_space_is_one_sentence(tree: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_space(tree)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_grid_cannot_list_a_range_without_a_step() -> None:
    with pytest.raises(UserError, match=r"use search\.sampler=tpe"):
        grid(parse_space({"a": {"b": {"low": 0.1, "high": 2.0}}}))
