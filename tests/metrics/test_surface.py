import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import find_contours

from benchmarks.plain_host import plain_outlines
from medsam_exp.metrics.surface import _elements, compare_outlines
from medsam_exp.types import Mask

Element = tuple[float, float, float]
EMPTY = np.zeros((9, 12), bool)


def disk(radius: float, center: tuple[int, int] = (64, 64), size: int = 128) -> Mask:
    rows, columns = np.ogrid[:size, :size]
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2


def blobs(seed: int, shape: tuple[int, int] = (21, 34)) -> Mask:
    rough = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1 + seed % 3)
    mask: Mask = rough > np.quantile(rough, 0.5 + 0.1 * (seed % 5))
    return mask


def slow_elements(mask: Mask, spacing: tuple[float, float]) -> list[Element]:
    """(row, column, length) for each corner of the pixel grid that sees inside and outside.

    The length is that of straight lines between the middles of the sides, around each cut-off corner.
    """
    height, width = mask.shape
    middle = {"up": (-0.5, 0.0), "down": (0.5, 0.0), "left": (0.0, -0.5), "right": (0.0, 0.5)}
    corners = [
        (-1, -1, "up", "left"),
        (-1, 0, "up", "right"),
        (0, -1, "down", "left"),
        (0, 0, "down", "right"),
    ]
    elements = []
    for row in range(height + 1):
        for column in range(width + 1):
            inside = [
                0 <= row + dy < height and 0 <= column + dx < width and bool(mask[row + dy, column + dx])
                for dy, dx, _, _ in corners
            ]
            if sum(inside) in (0, 4):
                continue
            diagonal = math.hypot(spacing[0] / 2, spacing[1] / 2)
            crossed = {
                "up": inside[0] != inside[1],
                "down": inside[2] != inside[3],
                "left": inside[0] != inside[2],
                "right": inside[1] != inside[3],
            }
            ends = [middle[side] for side, is_crossed in crossed.items() if is_crossed]
            if len(ends) == 4:
                length = 2 * diagonal
            else:
                (y0, x0), (y1, x1) = ends
                length = math.hypot((y1 - y0) * spacing[0], (x1 - x0) * spacing[1])
            elements.append((row * spacing[0], column * spacing[1], length))
    return elements


def slow_distances(own: list[Element], other: list[Element]) -> list[tuple[float, float]]:
    """(distance to the other outline, length) of each element, all pairs."""
    return [(min(math.hypot(y - v, x - u) for v, u, _ in other), length) for y, x, length in own]


def slow_nsd(prediction: Mask, truth: Mask, tolerance: float, spacing: tuple[float, float]) -> float:
    a, b = slow_elements(prediction, spacing), slow_elements(truth, spacing)
    both = slow_distances(a, b) + slow_distances(b, a)
    return sum(length for distance, length in both if distance <= tolerance) / sum(
        length for _, length in both
    )


def slow_hd95(prediction: Mask, truth: Mask, spacing: tuple[float, float]) -> float:
    a, b = slow_elements(prediction, spacing), slow_elements(truth, spacing)
    worst = 0.0
    for own, other in ((a, b), (b, a)):
        seen, reached = 0.0, sorted(slow_distances(own, other))
        for distance, length in reached:
            seen += length
            if seen >= 0.95 * sum(element[1] for element in reached):
                worst = max(worst, distance)
                break
    return worst


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.9)])
def test_equals_all_pairs(seed: int, spacing: tuple[float, float]) -> None:
    prediction, truth = blobs(seed), blobs(seed + 100)
    comparison = compare_outlines(prediction, truth, spacing)
    for tolerance in (0.0, 0.9, 2.3):
        expected = slow_nsd(prediction, truth, tolerance, spacing)
        assert comparison.nsd(tolerance) == pytest.approx(expected, abs=1e-12)
    assert comparison.hd95() == pytest.approx(slow_hd95(prediction, truth, spacing), abs=1e-12)
    assert 0 < comparison.nsd(0.9) < 1


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.1, 0.1), (0.3, 0.7)])
def test_same_bits_as_a_distance_transform_of_the_whole_image(spacing: tuple[float, float]) -> None:
    masks = [blobs(seed, (57, 90)) for seed in range(5)] + [
        disk(5, (9, 20), 90)[:57],
        disk(3, size=90)[10:67],
    ]
    masks += [np.random.default_rng(0).random((57, 90)) < share for share in (0.0005, 0.5, 1.0)]
    for prediction, truth in itertools.product(masks, repeat=2):
        found = compare_outlines(prediction, truth, spacing)
        assert found.prediction is not None
        assert found.ground_truth is not None
        for outline, expected in zip(
            (found.prediction, found.ground_truth), plain_outlines(prediction, truth, spacing), strict=True
        ):
            np.testing.assert_array_equal(outline.distances, expected[0])
            np.testing.assert_array_equal(outline.lengths, expected[1])


@pytest.mark.parametrize("seed", range(5))
def test_total_length_is_that_of_the_contour_lines(seed: int) -> None:
    mask = blobs(seed, (40, 25))
    lines = find_contours(np.pad(mask, 1).astype(float), 0.5)
    expected = sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines)
    assert _elements(mask, (1.0, 1.0)).lengths.sum() == pytest.approx(expected)
    assert _elements(mask, (3.0, 3.0)).lengths.sum() == pytest.approx(3 * expected)


@pytest.mark.parametrize(
    ("prediction", "truth", "nsd", "hd95", "counted_nsd"),
    [
        (disk(40), disk(50), 0.0, 10.0, 0.000),
        (disk(48), disk(50), 0.826, 2.24, 0.715),
        (disk(50, (64, 74)), disk(50), 0.173, 10.0, 0.179),
    ],
    ids=["10 px too small", "2 px too small", "10 px aside"],
)
def test_disks(prediction: Mask, truth: Mask, nsd: float, hd95: float, counted_nsd: float) -> None:
    """`counted_nsd` counts the pixels of the rim instead of measuring its length: near, but not the same."""
    comparison = compare_outlines(prediction, truth)
    assert comparison.nsd(2.0) == pytest.approx(nsd, abs=5e-4)
    assert comparison.hd95() == pytest.approx(hd95, abs=0.06)
    assert abs(comparison.nsd(2.0) - counted_nsd) < 0.12


@pytest.mark.parametrize("number", range(6))
def test_outlines_agree_less_than_the_released_slab(goldens: Path, number: int) -> None:
    """The released NSD takes the faces of a one-pixel slab for surface, so it rewards overlapping area."""
    with np.load(goldens / "metrics.npz") as stored:
        prediction, truth = stored[f"pred_{number}"], stored[f"gt_{number}"]
        slab = float(stored[f"nsd_slab_tol2_{number}"])
    comparison = compare_outlines(prediction, truth)
    if np.array_equal(prediction, truth):
        assert comparison.nsd(2.0) == slab == 1.0
    elif (prediction & truth).any():
        assert comparison.nsd(2.0) < slab
    else:  # no area in common, so the faces count against the slab
        assert comparison.nsd(2.0) > slab


def test_empty_masks() -> None:
    one = EMPTY.copy()
    one[4, 4] = True
    spacing = (0.5, 2.0)
    nothing = compare_outlines(EMPTY, EMPTY, spacing)
    assert (nothing.nsd(1.0), nothing.hd95()) == (1.0, 0.0)
    for prediction, truth in ((EMPTY, one), (one, EMPTY)):
        missed = compare_outlines(prediction, truth, spacing)
        assert missed.nsd(1.0) == 0.0
        assert missed.hd95() == pytest.approx(math.hypot(9 * 0.5, 12 * 2.0))


def test_no_pair_is_further_apart_than_the_penalty() -> None:
    upper_left, lower_right = EMPTY.copy(), EMPTY.copy()
    upper_left[0, 0], lower_right[-1, -1] = True, True
    penalty = compare_outlines(EMPTY, lower_right).hd95()
    assert compare_outlines(upper_left, lower_right).hd95() <= penalty


def test_the_edge_of_the_image_is_an_outline() -> None:
    full = np.ones((9, 12), bool)
    assert _elements(full, (1.0, 1.0)).lengths.sum() == pytest.approx(2 * (8 + 11) + 4 * math.sqrt(0.5))
    inside = np.pad(full, 5)
    shrunk = np.pad(np.ones((7, 12), bool), ((1, 1), (0, 0)))
    expected = compare_outlines(inside, np.pad(shrunk, 5))
    assert compare_outlines(full, shrunk).nsd(0.5) == pytest.approx(expected.nsd(0.5))
    assert compare_outlines(full, shrunk).hd95() == expected.hd95() == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_invariances(seed: int) -> None:
    a, b = blobs(seed), blobs(seed + 50)
    reference = compare_outlines(a, b)
    nsd, hd95 = reference.nsd(2.0), reference.hd95()
    for other in (
        compare_outlines(b, a),
        compare_outlines(a.T, b.T),
        compare_outlines(a[::-1], b[::-1]),
        compare_outlines(np.pad(a, 7), np.pad(b, 7)),
    ):
        assert other.nsd(2.0) == pytest.approx(nsd)
        assert other.hd95() == pytest.approx(hd95)
    # 3 * 0.1 > 0.3 in floating point; a tolerance in mm must not lose the pixels exactly that far away.
    in_mm = compare_outlines(a, b, (0.1, 0.1))
    for pixels in (1, 2, 3, 5):
        assert in_mm.nsd(pixels / 10) == pytest.approx(reference.nsd(float(pixels)))
    assert in_mm.hd95() == pytest.approx(hd95 / 10)
    assert compare_outlines(a, a).nsd(0.0) == 1.0
    assert compare_outlines(a, a).hd95() == 0.0
