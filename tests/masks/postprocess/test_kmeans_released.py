from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans as LloydKMeans

from medsam_exp.masks.nearest import nearest
from medsam_exp.masks.postprocess.kmeans import KMeans
from medsam_exp.masks.postprocess.kmeans_released import KMeansReleased
from medsam_exp.types import Mask, SaliencyMap, UserError


def binarise(saliency_map: SaliencyMap, side: int = 256) -> Mask:
    return KMeansReleased(side)(saliency_map, np.zeros((*saliency_map.shape, 3), np.uint8))


@pytest.mark.parametrize("number", range(4))
def test_equals_released_masks(goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        saliency_map = stored[f"saliency_{number}"].astype(np.float32) / 255
        assert np.array_equal(binarise(saliency_map), stored[f"kmeans_{number}"])


@pytest.mark.parametrize(
    ("old", "new", "place", "taken"),
    # Recorded from cv2.resize of OpenCV 5.0: its rounding takes the pixel before the exact one.
    [(256, 98, 49, 127), (186, 256, 128, 92), (256, 196, 49, 63), (210, 256, 128, 104), (256, 1288, 161, 31)],
)
def test_nearest_rounds_as_opencv(old: int, new: int, place: int, taken: int) -> None:
    line = np.arange(old)
    assert place * old % new == 0
    assert place * old // new == taken + 1
    assert nearest(line[None], (1, new))[0, place] == taken
    assert nearest(line[:, None], (new, 1))[place, 0] == taken


@pytest.mark.parametrize(("old", "new"), [(1, 256), (256, 256), (3, 256), (1000, 256), (256, 100)])
def test_nearest_takes_the_pixel_at_or_before_each_place(old: int, new: int) -> None:
    exact = [place * old // new for place in range(new)]
    assert nearest(np.arange(old)[None], (1, new))[0].tolist() == exact


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_released_steps(seed: int) -> None:
    rough = gaussian_filter(np.random.default_rng(seed).random((90, 140)), 8)
    picture = np.rint(255 * (rough - rough.min()) / np.ptp(rough)).astype(np.uint8)
    small = picture[np.arange(64) * 90 // 64][:, np.arange(64) * 140 // 64] / 255
    lloyd = LloydKMeans(n_clusters=2, n_init=10, random_state=10)
    labels = lloyd.fit_predict(small.reshape(-1, 1)).reshape(64, 64)
    bright = labels != lloyd.cluster_centers_.argmin()
    expected = bright[np.arange(90) * 64 // 90][:, np.arange(140) * 64 // 140]
    assert 0.1 < expected.mean() < 0.9
    assert np.array_equal(binarise(picture.astype(np.float32) / 255, 64), expected)


def test_is_not_the_exact_split() -> None:
    """One heap with a tail: iterations stand still before the best split, from each of ten starts."""
    heap = np.abs(np.random.default_rng(57).normal(0, 0.25, (16, 16)))
    saliency_map = (np.rint(255 * heap.clip(max=1)) / 255).astype(np.float32)
    exact = KMeans()(saliency_map, np.zeros((16, 16, 3), np.uint8))
    assert 0 < (binarise(saliency_map, 16) != exact).sum() < 20


def test_a_map_goes_through_8_bits() -> None:
    saliency_map = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    stored = np.rint(saliency_map * 255) / 255
    assert np.array_equal(binarise(saliency_map, 32), binarise(stored.astype(np.float32), 32))
    almost = np.full((8, 8), 0.5, np.float32)
    almost[0, 0] += 1e-4
    assert not binarise(almost, 8).any()


def test_borders_are_blocky() -> None:
    y, x = np.mgrid[:64, :64]
    saliency_map = (np.hypot(y - 30, x - 33) < 20).astype(np.float32)
    mask = binarise(saliency_map, 8)
    assert np.array_equal(mask, np.kron(mask[::8, ::8], np.ones((8, 8), bool)))
    assert np.array_equal(binarise(saliency_map, 64), saliency_map == 1)


def test_a_copy_without_pixels_is_a_clear_error() -> None:
    with pytest.raises(UserError, match=r"postprocess\.side is 0"):
        KMeansReleased(0)
