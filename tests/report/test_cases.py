import math

import numpy as np
import pytest

from medsam_exp.report.topics.cases import _choose_cases


def scores_of(count: int, levels: int = 1000) -> dict[str, float]:
    """Random scores; few levels give many ties."""
    values = np.random.default_rng(count).integers(0, levels, count) / levels
    return {f"s{number:03d}": float(value) for number, value in enumerate(values)}


@pytest.mark.parametrize("levels", [1000, 3])
@pytest.mark.parametrize("count_each", [0, 1, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 50])
def test_no_image_twice_and_no_more_than_asked(count: int, count_each: int, levels: int) -> None:
    chosen = _choose_cases(scores_of(count, levels), count_each)
    names = [name for _, name in chosen]
    assert len(names) == len(set(names)) == min(count, 3 * count_each)
    labels = [label for label, _ in chosen]
    assert all(labels.count(label) <= count_each for label in ("best", "median", "worst"))
    assert set(labels) <= {"best", "median", "worst"}


@pytest.mark.parametrize("count", [9, 10, 31, 50])
def test_kinds_are_what_they_say(count: int) -> None:
    scores = scores_of(count)
    ranks = {name: rank for rank, name in enumerate(sorted(scores, key=lambda n: (-scores[n], n)))}
    chosen = _choose_cases(scores, 3)
    places = {
        kind: [ranks[n] for label, n in chosen if label == kind] for kind in ("best", "median", "worst")
    }
    assert places["best"] == [0, 1, 2]
    assert places["worst"] == [count - 1, count - 2, count - 3]
    assert abs(np.mean(places["median"]) - (count - 1) / 2) <= 0.5


def test_order_of_the_input_does_not_matter() -> None:
    scores = scores_of(40, levels=4)
    assert _choose_cases(dict(reversed(scores.items()))) == _choose_cases(scores)


def test_a_single_image_is_the_best() -> None:
    assert _choose_cases({"only": 0.1}) == [("best", "only")]


def test_a_mask_that_misses_its_target_is_no_best_case() -> None:
    assert _choose_cases({"only": 0.0}) == [("worst", "only")]
    assert "best" not in dict(_choose_cases(dict.fromkeys("abc", 0.0)))


def test_without_ground_truth_the_first_ones() -> None:
    scores = dict.fromkeys(["b", "c", "a", "d"], math.nan)
    assert _choose_cases(scores, 1) == [("example", "a"), ("example", "b"), ("example", "c")]
    assert _choose_cases({}) == []


def test_unscored_images_are_not_ranked() -> None:
    assert _choose_cases({"a": math.nan, "b": 0.2, "c": 0.9}) == [("best", "c"), ("worst", "b")]
