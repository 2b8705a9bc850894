from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans as LloydKMeans

from medsam_exp.masks.postprocess.kmeans import KMeans
from medsam_exp.types import Mask, SaliencyMap


def smooth_map(seed: int, shape: tuple[int, int] = (40, 56), blur: float = 3) -> SaliencyMap:
    rough = gaussian_filter(np.random.default_rng(seed).random(shape), blur)
    return ((rough - rough.min()) / np.ptp(rough)).astype(np.float32)


def binarise(saliency_map: SaliencyMap) -> Mask:
    return KMeans()(saliency_map, np.zeros((*saliency_map.shape, 3), np.uint8))


def spread_within(saliency_map: SaliencyMap, mask: Mask) -> float:
    clusters = (saliency_map[mask].astype(np.float64), saliency_map[~mask].astype(np.float64))
    return sum(((values - values.mean()) ** 2).sum() for values in clusters)


def nearest(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour resize as the released code's image library does it (rounding down)."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, array.shape, strict=True))
    return array[rows][:, columns]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [2, 3, 7, 256, None])
def test_no_threshold_is_better(seed: int, levels: int | None) -> None:
    saliency_map = smooth_map(seed)
    if levels:
        saliency_map = np.round(saliency_map * (levels - 1)).astype(np.float32) / np.float32(levels - 1)
    mask = binarise(saliency_map)
    best = min(spread_within(saliency_map, saliency_map >= value) for value in np.unique(saliency_map)[1:])
    assert spread_within(saliency_map, mask) == pytest.approx(best, rel=1e-9)
    assert saliency_map[mask].min() > saliency_map[~mask].max()


@pytest.mark.parametrize("seed", range(20))
def test_finds_the_best_of_many_good_splits(seed: int) -> None:
    """Tight groups of values: moving single pixels over the middle makes nothing better at several splits."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(3, 8)
    values = rng.choice(rng.random(groups), 6000, p=rng.dirichlet(np.ones(groups)))
    saliency_map = (values + rng.normal(0, 1e-3, 6000)).astype(np.float32).reshape(60, 100)
    ordered = np.sort(saliency_map, axis=None).astype(np.float64)
    best = min(spread_within(ordered, np.arange(6000) >= split) for split in range(1, 6000))
    assert spread_within(saliency_map, binarise(saliency_map)) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("count", [2, 511, 512, 513, 514, 1024, 1025])
def test_any_number_of_pixels(count: int) -> None:
    saliency_map = np.linspace(0, 1, count, dtype=np.float32)[None]
    assert binarise(saliency_map).sum() in (count // 2, (count + 1) // 2)
    for bright in (1, count - 1):
        step = (np.arange(count) >= count - bright).astype(np.float32)[None]
        assert np.array_equal(binarise(step), step == 1)


@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_iterated_kmeans(seed: int) -> None:
    saliency_map = smooth_map(seed, (64, 48))
    lloyd = LloydKMeans(2, n_init=10, random_state=10).fit(saliency_map.reshape(-1, 1).astype(np.float64))
    assert spread_within(saliency_map, binarise(saliency_map)) <= lloyd.inertia_ * (1 + 1e-9)


@pytest.mark.parametrize("number", range(4))
def test_equals_released_masks_on_their_small_copy(goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        saliency_map = stored[f"saliency_{number}"].astype(np.float32) / 255
        released = stored[f"kmeans_{number}"]
    small_mask = binarise(nearest(saliency_map, (256, 256)))
    assert np.array_equal(nearest(small_mask, saliency_map.shape), released)
    # Without the detour through 256 x 256 only the blocky rim changes.
    assert 0 < (binarise(saliency_map) != released).mean() < 0.015


def test_does_not_depend_on_order_scale_or_offset() -> None:
    saliency_map = smooth_map(0)
    mask = binarise(saliency_map)
    assert np.array_equal(binarise(saliency_map.T), mask.T)
    assert np.array_equal(binarise(saliency_map[::-1]), mask[::-1])
    assert np.array_equal(binarise(saliency_map * np.float32(0.5)), mask)
    assert np.array_equal(binarise(saliency_map + np.float32(100)), mask)


def test_edge_cases() -> None:
    assert not binarise(np.full((5, 7), 0.3, np.float32)).any()
    assert not binarise(np.zeros((1, 1), np.float32)).any()
    one = np.zeros((5, 7), np.float32)
    one[2, 3] = 1
    assert np.array_equal(binarise(one), one == 1)
    all_but_one = 1 - one
    assert np.array_equal(binarise(all_but_one), all_but_one == 1)
    assert binarise(np.array([[0.0, 0.25, 1.0]], np.float32)).tolist() == [[False, False, True]]
