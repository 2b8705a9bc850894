import itertools
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from benchmarks.plain_host import plain_boxes, plain_confident_components
from medsam_exp.masks.component_filter.confidence import ConfidentComponents
from medsam_exp.masks.component_filter.largest import LargestComponents
from medsam_exp.masks.component_filter.none import AllComponents
from medsam_exp.masks.components import label_components, regions_of
from medsam_exp.types import Mask, SaliencyMap, UserError

UNUSED = np.zeros((1, 1), np.float32)


def random_mask(seed: int, density: float, shape: tuple[int, int] = (23, 31)) -> Mask:
    return np.random.default_rng(seed).random(shape) < density


def regions_by_flooding(mask: Mask) -> list[list[tuple[int, int]]]:
    """Every region's pixels, regions in scan order of their first pixel; corners connect."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    for start in sorted(left):
        if start not in left:
            continue
        left.discard(start)
        region, queue = [], deque([start])
        while queue:
            y, x = queue.popleft()
            region.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.discard(near)
                    queue.append(near)
        regions.append(region)
    return regions


def drawn(regions: list[list[tuple[int, int]]], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for y, x in (pixel for region in regions for pixel in region):
        mask[y, x] = True
    return mask


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_labels_number_the_regions_in_scan_order(density: float) -> None:
    mask = random_mask(1, density)
    labels, count = label_components(mask)
    regions = regions_by_flooding(mask)
    assert count == len(regions)
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask)
    for number, region in enumerate(regions, 1):
        assert {int(labels[pixel]) for pixel in region} == {number}


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 9), (9, 2), (40, 57)])
def test_regions_are_those_of_labels_of_the_whole_image(shape: tuple[int, int]) -> None:
    for seed, density in itertools.product(range(5), (0.0, 0.2, 0.4, 0.7, 1.0)):
        mask = random_mask(seed, density, shape)
        assert np.array_equal(regions_of(mask).boxes, plain_boxes(mask))
        saliency_map = np.random.default_rng(seed).random(shape, np.float32)
        for threshold in (0.0, 0.5, 0.6):
            expected = plain_confident_components(mask, saliency_map, threshold)
            assert np.array_equal(ConfidentComponents(threshold)(mask, saliency_map), expected)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.2, 0.35, 1.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_largest_keeps_the_largest(density: float, count: int) -> None:
    mask = random_mask(2, density)
    # sorted() is stable, so equal areas stay in scan order.
    chosen = sorted(regions_by_flooding(mask), key=len, reverse=True)[:count]
    assert np.array_equal(LargestComponents(count)(mask, UNUSED), drawn(chosen, mask.shape))


def test_largest_keeps_only_the_first_of_equals() -> None:
    mask = np.array([[1, 0, 1, 0, 1]], bool)
    assert LargestComponents(1)(mask, UNUSED).tolist() == [[True, False, False, False, False]]
    assert LargestComponents(2)(mask, UNUSED).tolist() == [[True, False, True, False, False]]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ("kmeans", "kmeans_keep1", 1),
        ("kmeans", "kmeans_keep2", 2),
        ("crf", "crf_keep1", 1),
        ("threshold03", "threshold03_keep1", 1),
    ],
)
def test_largest_equals_released(goldens: Path, number: int, before: str, after: str, count: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        threshold03 = stored[f"saliency_{number}"] / 255 > 0.3
        mask = threshold03 if before == "threshold03" else stored[f"{before}_{number}"]
        assert np.array_equal(LargestComponents(count)(mask, UNUSED), stored[f"{after}_{number}"])


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.5, 0.6, 0.95])
def test_confidence_equals_the_equations(threshold: float) -> None:
    mask = random_mask(3, 0.15)
    saliency_map: SaliencyMap = np.random.default_rng(4).random(mask.shape, np.float32)
    chosen = [
        region
        for region in regions_by_flooding(mask)
        if sum(float(saliency_map[pixel]) for pixel in region) / len(region) > threshold
    ]
    assert np.array_equal(ConfidentComponents(threshold)(mask, saliency_map), drawn(chosen, mask.shape))


def test_confidence_may_leave_nothing() -> None:
    mask = random_mask(5, 0.3)
    half = np.full(mask.shape, 0.5, np.float32)
    assert not ConfidentComponents(0.5)(mask, half).any()  # eq. 19 wants more than the threshold
    assert np.array_equal(ConfidentComponents(0.49)(mask, half), mask)
    assert not ConfidentComponents(0.0)(np.zeros((4, 5), bool), np.ones((4, 5), np.float32)).any()


def test_confidence_prefers_a_small_bright_region_to_a_large_dim_one() -> None:
    mask, saliency_map = np.zeros((10, 20), bool), np.zeros((10, 20), np.float32)
    mask[1:9, 1:10], saliency_map[1:9, 1:10] = True, 0.45
    mask[4:6, 15:17], saliency_map[4:6, 15:17] = True, 0.9
    assert np.array_equal(ConfidentComponents(0.5)(mask, saliency_map), saliency_map > 0.8)
    assert not LargestComponents(1)(mask, saliency_map)[4, 15]


def test_none_keeps_everything() -> None:
    mask = random_mask(6, 0.4)
    assert np.array_equal(AllComponents()(mask, UNUSED), mask)


def test_the_given_mask_is_left_alone() -> None:
    mask = random_mask(7, 0.3)
    before, saliency_map = mask.copy(), np.ones(mask.shape, np.float32)
    for component_filter in (LargestComponents(1), ConfidentComponents(0.5)):
        assert component_filter(mask, saliency_map).dtype == bool
        assert np.array_equal(mask, before)


def test_impossible_settings_are_clear_errors() -> None:
    with pytest.raises(UserError, match=r"^count is 0"):
        LargestComponents(0)
    for threshold in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match=r"component_filter\.threshold is"):
            ConfidentComponents(threshold)
