import numpy as np
import pytest
import torch

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.saliency.geometry import Pad, Squash

to_original_frame = Squash(torch.from_numpy).to_original_frame


def sampled(grid: np.ndarray, y: float, x: float) -> float:
    """Between the centres of four cells, edges continued; y and x in cells, from the centre of the first."""
    rows, columns = grid.shape
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
    top = grid[y0, x0] * (1 - (x - x0)) + grid[y0, x1] * (x - x0)
    low = grid[y1, x0] * (1 - (x - x0)) + grid[y1, x1] * (x - x0)
    return float(top * (1 - (y - y0)) + low * (y - y0))


def bilinear(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Loops: sample the grid at each pixel's centre."""
    (rows, columns), out = grid.shape, np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            out[i, j] = sampled(grid, (i + 0.5) * rows / size[0] - 0.5, (j + 0.5) * columns / size[1] - 0.5)
    return out


@pytest.mark.parametrize("size", [(13, 40), (40, 13), (3, 2), (1, 9)])
def test_against_loops(size: tuple[int, int]) -> None:
    grid = np.random.default_rng(0).normal(size=(5, 4))
    expected = bilinear(grid, size)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    saliency_map = to_original_frame(torch.from_numpy(grid).float(), size)
    assert saliency_map.shape == size
    assert saliency_map.dtype == np.float32
    np.testing.assert_allclose(saliency_map, expected, atol=1e-6)
    assert (saliency_map.min(), saliency_map.max()) == (0, 1)


def test_a_hot_patch_returns_to_its_place_in_a_wide_image() -> None:
    grid = torch.zeros(14, 14)
    grid[3, 10] = 1
    peak = np.unravel_index(to_original_frame(grid, (140, 700)).argmax(), (140, 700))
    assert 30 <= peak[0] < 40
    assert 500 <= peak[1] < 550


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_has_no_map(bad: float) -> None:
    grid = torch.rand(4, 4)
    grid[1, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        to_original_frame(grid, (8, 8))


@pytest.mark.parametrize("value", [0.0, 1.0, -7.3, 1e30, 1e-30])
def test_constant_gives_an_empty_map(value: float) -> None:
    grid = torch.full((3, 5), value)
    assert not to_original_frame(grid, (17, 11)).any()
    grid[0, 0] *= 1 + 2**-23  # one step of float32 is rounding, not saliency
    assert not to_original_frame(grid, (17, 11)).any()


def test_one_pixel_image_gives_an_empty_map() -> None:
    assert to_original_frame(torch.rand(4, 4), (1, 1)).tolist() == [[0.0]]


def test_scale_and_offset_do_not_matter() -> None:
    grid = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(
        to_original_frame(grid, (20, 30)), to_original_frame(5 * grid - 3, (20, 30)), atol=1e-6
    )


def test_result_on_bfloat16_and_with_gradient() -> None:
    grid = torch.rand(4, 4).bfloat16().requires_grad_()
    assert to_original_frame(grid, (9, 9)).max() == 1


@pytest.mark.parametrize(("size", "inside"), [((30, 60), (14, 0, 28, 56)), ((90, 30), (0, 18, 56, 19))])
def test_an_image_is_padded_to_a_square_and_its_map_comes_back(
    size: tuple[int, int], inside: tuple[int, int, int, int]
) -> None:
    preprocess = Preprocess((56, 56), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    geometry, (top, left, rows, columns) = Pad(preprocess), inside
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*size, 3), np.uint8)
    pixels = geometry.preprocess(image)
    alone = Preprocess((rows, columns), preprocess.mean, preprocess.std)(image)
    assert torch.equal(pixels[:, top : top + rows, left : left + columns], alone)
    assert int((pixels != 0).sum()) == int((alone != 0).sum())  # the bars have the mean colour
    grid = random.normal(size=(5, 4))
    expected = np.empty(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = top + (i + 0.5) * rows / size[0], left + (j + 0.5) * columns / size[1]
            expected[i, j] = sampled(grid, y / 56 * 5 - 0.5, x / 56 * 4 - 0.5)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    found = geometry.to_original_frame(torch.from_numpy(grid), size)
    np.testing.assert_allclose(found, expected, atol=1e-6)
