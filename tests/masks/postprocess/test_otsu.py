import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from benchmarks.plain_host import plain_otsu
from medsam_exp.masks.postprocess.kmeans import KMeans
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.types import Mask, SaliencyMap, UserError


def smooth_map(seed: int, shape: tuple[int, int] = (40, 56), blur: float = 3) -> SaliencyMap:
    rough = gaussian_filter(np.random.default_rng(seed).random(shape), blur)
    return ((rough - rough.min()) / np.ptp(rough)).astype(np.float32)


def binarise(saliency_map: SaliencyMap, bins: int = 256) -> Mask:
    return Otsu(bins)(saliency_map, np.zeros((*saliency_map.shape, 3), np.uint8))


def slow_threshold(values: list[float], bin_of: Callable[[float], int]) -> float:
    """Smallest value of the upper class of the best cut between two bins, all of them tried."""
    bins: dict[int, list[float]] = {}
    for value in sorted(values):
        bins.setdefault(bin_of(value), []).append(value)
    best, threshold = -1.0, 0.0
    numbers = sorted(bins)
    for cut in range(1, len(numbers)):
        lower = [value for number in numbers[:cut] for value in bins[number]]
        upper = [value for number in numbers[cut:] for value in bins[number]]
        difference = sum(lower) / len(lower) - sum(upper) / len(upper)
        between = len(lower) * len(upper) * difference**2
        if between > best * (1 + 3e-7):
            best, threshold = between, upper[0]
    return threshold


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("bins", [8, 64])
def test_equals_the_definition(seed: int, bins: int) -> None:
    saliency_map = smooth_map(seed, (20, 28))
    values = saliency_map.astype(float).ravel().tolist()
    low, width = min(values), (max(values) - min(values)) / bins
    threshold = slow_threshold(values, lambda value: min(int((value - low) / width), bins - 1))
    assert np.array_equal(binarise(saliency_map, bins), saliency_map >= threshold)


@pytest.mark.parametrize("levels", [2, 7, 40, 10**9])
@pytest.mark.parametrize("bins", [2, 16, 256])
def test_equals_bins_filled_value_by_value(levels: int, bins: int) -> None:
    """Also where values lie on a bin's edge, and where bins are empty."""
    for seed, exponent in itertools.product(range(5), (1, 6)):
        saliency_map = (
            np.floor(smooth_map(seed, (31, 47), 2) ** exponent * levels).astype(np.float32) / levels
        )
        assert np.array_equal(binarise(saliency_map, bins), plain_otsu(saliency_map, bins))


@pytest.mark.parametrize("levels", [2, 3, 5, 17, 64])
def test_few_levels_are_cut_where_the_variance_between_is_largest(levels: int) -> None:
    """Every level by itself, however near two lie to each other: no bin's edge or centre comes between."""
    generator = np.random.default_rng(levels)
    for most in (40, 3, 200):
        values = generator.random(levels).astype(np.float32) ** 8
        saliency_map = np.repeat(values, generator.integers(1, most, levels))[None]
        order = np.sort(values).tolist()
        expected = slow_threshold(saliency_map[0].tolist(), order.index)
        assert np.array_equal(binarise(saliency_map, 64), saliency_map >= np.float32(expected))


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_what_equals_the_lower_level_is_background(scale: float) -> None:
    saliency_map = np.repeat(np.float32([0, 150, 255]) * np.float32(scale), [10, 1000, 1000])[None]
    assert np.array_equal(binarise(saliency_map), saliency_map == saliency_map.max())


def test_equals_scikit_image_on_8_bit_maps() -> None:
    generator = np.random.default_rng(0)
    for levels in (2, 3, 4, 8, 50, 256) * 5:
        values = generator.choice(256, levels, replace=False).astype(np.uint8)
        picture = np.repeat(values, generator.integers(1, 60, levels))[None]
        expected = picture > threshold_otsu(picture)
        assert np.array_equal(binarise(picture.astype(np.float32) / 255), expected)
    tied = np.repeat(np.array([0, 100, 200], np.uint8), 7)[None]  # both cuts are equally good
    assert np.array_equal(binarise(tied.astype(np.float32) / 255), tied > threshold_otsu(tied))


@pytest.mark.parametrize("number", range(4))
def test_equals_scikit_image_on_released_maps(goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        picture = stored[f"saliency_{number}"]
    assert np.array_equal(binarise(picture.astype(np.float32) / 255), picture > threshold_otsu(picture))


@pytest.mark.parametrize("seed", range(4))
def test_close_to_two_means(seed: int) -> None:
    saliency_map = smooth_map(seed, (200, 160), 12)
    exact = KMeans()(saliency_map, np.zeros((200, 160, 3), np.uint8))
    assert (binarise(saliency_map) != exact).mean() < 0.01
    assert 0.05 < exact.mean() < 0.95


def test_edge_cases() -> None:
    assert not binarise(np.full((4, 9), 0.7, np.float32)).any()
    assert not binarise(np.zeros((1, 1), np.float32)).any()
    one = np.zeros((6, 4), np.float32)
    one[5, 3] = 1
    assert np.array_equal(binarise(one), one == 1)


def test_a_single_bin_is_a_clear_error() -> None:
    with pytest.raises(UserError, match=r"postprocess\.bins is 1"):
        Otsu(1)
