from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes, mesh_surface_area

from benchmarks.plain_host import plain_nsd_released
from medsam_exp.metrics.nsd_released import _element_areas, nsd_released
from medsam_exp.metrics.surface import compare_outlines
from medsam_exp.types import Mask


def disc(radius: float, column: int = 64) -> Mask:
    rows, columns = np.ogrid[:128, :128]
    return (rows - 64) ** 2 + (columns - column) ** 2 <= radius**2


def blobs(seed: int, shape: tuple[int, int] = (13, 18)) -> Mask:
    rough = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 0.8)
    mask: Mask = rough > np.quantile(rough, 0.4 + 0.1 * (seed % 5))
    return mask


def slow_elements(mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (E, 3) and areas (E,) of the surface of a one-voxel slab: marching cubes in each little cube."""
    volume = np.pad(mask[..., None].astype(float), 1)
    places, areas = [], []
    for place in product(*(range(side - 1) for side in volume.shape)):
        cube = volume[tuple(slice(start, start + 2) for start in place)]
        if 0 < cube.sum() < 8:
            vertices, faces, *_ = marching_cubes(cube, 0.5, method="lorensen")
            places.append(place)
            areas.append(mesh_surface_area(vertices, faces))
    return np.array(places, float), np.array(areas)


def slow_nsd_released(prediction: Mask, ground_truth: Mask, tolerance: float) -> float:
    surfaces = [slow_elements(prediction), slow_elements(ground_truth)]
    within, total = 0.0, 0.0
    for (places, areas), (others, _) in (surfaces, surfaces[::-1]):
        nearest = np.sqrt(((places[:, None] - others[None]) ** 2).sum(-1)).min(1)
        within += areas[nearest <= tolerance].sum()
        total += areas.sum()
    return within / total


@pytest.mark.parametrize("number", range(6))
def test_equals_the_released_evaluation(goldens: Path, number: int) -> None:
    stored = np.load(goldens / "metrics.npz")
    prediction, truth = stored[f"pred_{number}"], stored[f"gt_{number}"]
    assert nsd_released(prediction, truth, 2.0) == pytest.approx(stored[f"nsd_slab_tol2_{number}"], abs=1e-12)


@pytest.mark.parametrize("tolerance", [0.0, 1.5, 2.0, 7.3, 1e9])
def test_same_bits_as_over_the_whole_image(tolerance: float) -> None:
    for seed, margin in product(range(5), (0, 1, 9)):
        prediction, truth = np.pad(blobs(seed), margin), np.pad(blobs(seed + 50), margin)
        expected = plain_nsd_released(prediction, truth, tolerance)
        assert nsd_released(prediction, truth, tolerance) == expected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_equals_marching_cubes_over_a_volume_of_one_slice(seed: int, tolerance: float) -> None:
    prediction, truth = blobs(seed), blobs(seed + 50)
    expected = slow_nsd_released(prediction, truth, tolerance)
    assert 0 < expected <= 1
    assert tolerance == 2 or expected < 1
    assert nsd_released(prediction, truth, tolerance) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("code", range(1, 16))
def test_every_pattern_of_four_pixels_has_the_area_of_marching_cubes(code: int) -> None:
    mask = np.array([code >> bit & 1 for bit in range(4)], bool).reshape(2, 2)
    _, areas = slow_elements(mask)
    assert 2 * _element_areas(mask).sum() == pytest.approx(areas.sum(), abs=1e-6)


@pytest.mark.parametrize(
    ("prediction", "slab"),
    [(disc(40), 0.826), (disc(48), 0.999), (disc(50, 74), 0.911)],
    ids=["smaller", "a little smaller", "shifted"],
)
def test_is_far_from_the_boundary_nsd(prediction: Mask, slab: float) -> None:
    assert nsd_released(prediction, disc(50)) == pytest.approx(slab, abs=5e-4)
    assert compare_outlines(prediction, disc(50)).nsd(2.0) < slab - 0.15


def test_empty_masks() -> None:
    empty = np.zeros((128, 128), bool)
    assert nsd_released(empty, empty) == 1.0
    assert nsd_released(disc(10), empty) == nsd_released(empty, disc(10)) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_does_not_depend_on_which_mask_is_the_prediction_or_on_orientation(seed: int) -> None:
    prediction, truth = blobs(seed), blobs(seed + 9)
    value = nsd_released(prediction, truth)
    assert nsd_released(truth, prediction) == pytest.approx(value, abs=1e-12)
    assert nsd_released(prediction.T, truth.T) == pytest.approx(value, abs=1e-12)
    assert nsd_released(prediction[:, ::-1], truth[:, ::-1]) == pytest.approx(value, abs=1e-12)
    assert nsd_released(np.pad(prediction, 5), np.pad(truth, 5)) == pytest.approx(value, abs=1e-12)
