import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medsam_exp.postprocess.kmeans import KMeans
from medsam_exp.postprocess.otsu import Otsu
from medsam_exp.types import Mask, SaliencyMap, UserError


def smooth_map(seed: int, shape: tuple[int, int] = (40, 56), blur: float = 3) -> SaliencyMap:
    rough = gaussian_filter(np.random.default_rng(seed).random(shape), blur)
    return ((rough - rough.min()) / np.ptp(rough)).astype(np.float32)


def binarise(saliency_map: SaliencyMap, bins: int = 256) -> Mask:
    return Otsu(bins)(saliency_map, np.zeros((*saliency_map.shape, 3), np.uint8))


def slow_threshold(saliency_map: SaliencyMap, bins: int) -> float:
    """Centre of the bin after which to cut, tried one by one."""
    low, high = float(saliency_map.min()), float(saliency_map.max())
    width = (high - low) / bins
    counts = [0] * bins
    for value in saliency_map.ravel().tolist():
        counts[min(int((value - low) / width), bins - 1)] += 1
    centres = [low + (number + 0.5) * width for number in range(bins)]
    best, threshold = -1.0, 0.0
    for cut in range(1, bins):
        lower, upper = sum(counts[:cut]), sum(counts[cut:])
        lower_mean = sum(c * x for c, x in zip(counts[:cut], centres[:cut], strict=True)) / lower
        upper_mean = sum(c * x for c, x in zip(counts[cut:], centres[cut:], strict=True)) / upper
        between = lower * upper * (lower_mean - upper_mean) ** 2
        if between > best * (1 + 1e-6):
            best, threshold = between, centres[cut - 1]
    return threshold


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [8, 256])
def test_equals_the_definition(seed: int, bins: int) -> None:
    saliency_map = smooth_map(seed)
    assert np.array_equal(binarise(saliency_map, bins), saliency_map >= slow_threshold(saliency_map, bins))


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
