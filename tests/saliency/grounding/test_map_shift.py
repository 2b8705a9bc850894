"""Correlation and peak shift against slow, plain references."""

import math

import numpy as np
import pytest

from medsam_exp.saliency.grounding.map_shift import diagonal_px, map_correlation, peak_shift_px


def slow_correlation(one, other) -> float:
    a, b = one.ravel().tolist(), other.ravel().tolist()
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    covariance = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return covariance / math.sqrt(spread)


@pytest.mark.parametrize("shape", [(7, 13), (40, 40), (1, 9), (3, 1)])
def test_correlation_is_pearsons(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    one, other = generator.random((2, *shape), dtype=np.float32)
    assert map_correlation(one, other) == pytest.approx(slow_correlation(one, other), abs=1e-9)
    assert map_correlation(one, one) == pytest.approx(1)
    assert map_correlation(one, 1 - one) == pytest.approx(-1)
    assert map_correlation(one, other) == map_correlation(other, one)


def test_a_small_difference_on_a_large_even_map_is_not_lost() -> None:
    generator = np.random.default_rng(2)
    noise = generator.random((2, 300, 400))
    one, other = ((0.9 + 1e-4 * part).astype(np.float32) for part in noise)
    assert map_correlation(one, other) == pytest.approx(slow_correlation(one, other), abs=1e-7)


@pytest.mark.parametrize("empty", [np.zeros((5, 6), np.float32), np.full((5, 6), 0.1, np.float32)])
def test_a_constant_map_follows_nothing_and_has_no_peak(empty) -> None:
    other = np.random.default_rng(0).random((5, 6), dtype=np.float32)
    for pair in ((empty, other), (other, empty), (empty, empty)):
        assert map_correlation(*pair) == 0
        assert peak_shift_px(*pair) is None


def slow_peak(map_) -> tuple[float, float]:
    best = max(map_.ravel().tolist())
    places = [(y, x) for y in range(map_.shape[0]) for x in range(map_.shape[1]) if map_[y, x] == best]
    return sum(y for y, _ in places) / len(places), sum(x for _, x in places) / len(places)


def test_peak_shift_is_the_distance_of_the_maxima() -> None:
    generator = np.random.default_rng(3)
    for _ in range(20):
        one, other = generator.integers(0, 6, (2, 6, 9)).astype(np.float32)  # with ties
        assert peak_shift_px(one, other) == pytest.approx(math.dist(slow_peak(one), slow_peak(other)))
        assert peak_shift_px(one, one) == 0


def test_corner_to_corner_is_one_diagonal() -> None:
    one, other = np.zeros((2, 31, 41), np.float32)
    one[0, 0] = other[-1, -1] = 1
    assert peak_shift_px(one, other) == pytest.approx(50)
    assert diagonal_px((31, 41)) == pytest.approx(50)
    assert diagonal_px((1, 1)) == 1
