"""Lists within sentences."""

from medsam_exp.runtime.wording import did_you_mean, first_few, joined_with_and


def test_the_first_few_of_a_list() -> None:
    assert first_few(["a"], 2) == "a"
    assert first_few([1, 2], 2) == "1, 2"
    assert first_few("abcde", 2) == "a, b and 3 more"
    assert first_few("abcde", 2, "; ") == "a; b; and 3 more"


def test_an_enumeration() -> None:
    assert joined_with_and([]) == ""
    assert joined_with_and("a") == "a"
    assert joined_with_and("abcde") == "a, b, c, d and e"
    assert joined_with_and("abcdef") == "a, b, c, d and 2 more"


def test_the_nearest_word_or_all() -> None:
    assert did_you_mean("sam_vit_x", ["sam_vit_b", "medsam"]) == "did you mean sam_vit_b?"
    assert did_you_mean("qqq", ["run", "segment"]) == "there are run, segment"
