import math

import numpy as np
import pytest

from benchmarks.plain_host import plain_peak_distance
from medsam_exp.metrics.saliency_maps import peak_distance


@pytest.mark.parametrize("seed", range(5))
def test_equals_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency_map, truth = rng.random((14, 9), np.float32), rng.random((14, 9)) < 0.05
    truth[13, 8] = True
    y, x = np.unravel_index(saliency_map.argmax(), saliency_map.shape)
    expected = min(math.hypot(y - v, x - u) for v, u in np.argwhere(truth))
    assert peak_distance(saliency_map, truth) == pytest.approx(expected)


@pytest.mark.parametrize("levels", [2, 30, 1_000_000])
def test_same_bits_as_a_distance_transform_of_the_whole_image(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for share in (0.001, 0.1, 0.6, 1.0):
        for shape in ((31, 50), (50, 31), (1, 40), (40, 1)):
            truth = rng.random(shape) < share
            truth[rng.integers(shape[0]), rng.integers(shape[1])] = True
            saliency_map = (rng.integers(0, levels, shape) / levels).astype(np.float32)
            assert peak_distance(saliency_map, truth) == plain_peak_distance(saliency_map, truth)


def test_inside_outside_and_equal_peaks() -> None:
    truth, saliency_map = np.zeros((10, 20), bool), np.zeros((10, 20), np.float32)
    truth[2:5, 3:6] = True
    saliency_map[3, 4] = 1
    assert peak_distance(saliency_map, truth) == 0
    saliency_map[3, 11] = 1  # a second peak, six pixels away
    assert peak_distance(saliency_map, truth) == 3


def test_a_constant_map_scores_like_a_random_guess() -> None:
    truth = np.zeros((10, 20), bool)
    truth[:, 0] = True
    assert peak_distance(np.zeros((10, 20), np.float32), truth) == pytest.approx(np.arange(20).mean())


def test_without_a_target_there_is_no_distance() -> None:
    with pytest.raises(ValueError, match="true mask is empty"):
        peak_distance(np.ones((3, 3), np.float32), np.zeros((3, 3), bool))
