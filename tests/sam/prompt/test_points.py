"""Points: where they lie, how many there are, that nothing but the mask and the generator decides them."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from medsam_exp.masks.components import label_components
from medsam_exp.sam.prompt.points import PointsPerComponent
from medsam_exp.sam.prompt.points_released import PointsOverMask
from medsam_exp.types import Mask, Prompter, UserError


def drawn(prompter: Prompter, mask: Mask, seed: int = 0) -> list[tuple[list, list, int]]:
    """(foreground, background) pixels as (row, column) and the number of missing points, of each prompt."""
    prompts = prompter(mask, np.random.default_rng(seed))
    assert prompts.boxes_xyxy is None
    assert prompts.point_coords is not None
    assert prompts.point_labels is not None
    assert prompts.point_coords.dtype == np.float32
    assert prompts.point_labels.dtype == np.int64
    assert prompts.point_coords.shape == (*prompts.point_labels.shape, 2)
    found = []
    for coords, labels in zip(prompts.point_coords, prompts.point_labels, strict=True):
        assert np.array_equal(coords, coords.round())
        places = [(int(y), int(x)) for x, y in coords]
        kinds = [
            [place for place, label in zip(places, labels, strict=True) if label == kind]
            for kind in (1, 0, -1)
        ]
        found.append((kinds[0], kinds[1], len(kinds[2])))
    return found


def two_disks(radii: tuple[float, float] = (14, 9)) -> Mask:
    y, x = np.mgrid[:60, :100]
    return (np.hypot(y - 25, x - 22) < radii[0]) | (np.hypot(y - 35, x - 75) < radii[1])


def distance_to(place: tuple[int, int], places: np.ndarray) -> float:
    return float(np.hypot(*(places - place).T).min())


def test_each_region_has_its_own_points() -> None:
    mask = two_disks()
    labels, _ = label_components(mask)
    prompts = drawn(PointsPerComponent(10, 3, 4, 5), mask)
    assert len(prompts) == 2
    for number, (foreground, background, missing) in enumerate(prompts, 1):
        assert len(set(foreground)) == 10
        assert {int(labels[place]) for place in foreground} == {number}
        assert len(set(background)) == 4
        assert not any(mask[place] for place in background)
        assert missing == 0
    assert prompts[0][1] != prompts[1][1]


@pytest.mark.parametrize(("margin", "negative_margin"), [(0, 0), (1, 1), (2.5, 2.5), (5, 5), (1, 4), (4, 1)])
def test_margins_are_kept(margin: float, negative_margin: float) -> None:
    mask = two_disks((14, 13))
    outside, inside = np.argwhere(~np.pad(mask, 1)) - 1, np.argwhere(mask)
    least = {"inside": np.inf, "outside": np.inf}
    for seed in range(40):
        prompter = PointsPerComponent(10, margin, 10, negative_margin)
        for foreground, background, missing in drawn(prompter, mask, seed):
            assert missing == 0
            least["inside"] = min(least["inside"], *(distance_to(place, outside) for place in foreground))
            least["outside"] = min(least["outside"], *(distance_to(place, inside) for place in background))
    assert margin < least["inside"] <= margin + 1  # as near as allowed, but not nearer
    assert negative_margin < least["outside"] < negative_margin + 1.1


def test_the_images_edge_is_a_border() -> None:
    mask = np.ones((30, 40), bool)
    for foreground, _, _ in drawn(PointsPerComponent(50, 5, 0, 0), mask):
        rows, columns = np.array(foreground).T
        assert rows.min() >= 5
        assert rows.max() <= 24
        assert columns.min() >= 5
        assert columns.max() <= 34


@pytest.mark.parametrize("negative_margin", [0, 2.5, 9, 40])
def test_background_points_are_those_of_distances_over_the_whole_image(negative_margin: float) -> None:
    for place in ((20, 30), (0, 0), (110, 150)):  # inside, in a corner, and where the far corner is near
        mask = np.zeros((120, 160), bool)
        mask[place[0] : place[0] + 10, place[1] : place[1] + 10] = True
        depth = distance_transform_edt(~mask)
        far = np.argwhere(depth > min(negative_margin, depth.max() / 2))
        chosen = PointsPerComponent(1, 0, 9, negative_margin)(mask, np.random.default_rng(0)).point_coords
        generator = np.random.default_rng(0)
        generator.choice(np.argwhere(mask), 1, replace=False)
        assert chosen is not None
        assert np.array_equal(chosen[0, 1:, ::-1], generator.choice(far, 9, replace=False))


def test_thin_regions_shrink_the_margin() -> None:
    """A bar of 7 rows has a greatest depth of 4: the points keep to the rows deeper than 2."""
    mask = np.zeros((20, 50), bool)
    mask[5:12, 3:48] = True
    rows = {y for seed in range(20) for y, _ in drawn(PointsPerComponent(10, 10, 0, 0), mask, seed)[0][0]}
    assert rows == {7, 8, 9}
    line = np.zeros((20, 50), bool)
    line[4, 3:48] = True
    ((foreground, _, missing),) = drawn(PointsPerComponent(10, 10, 0, 0), line)
    assert {y for y, _ in foreground} == {4}
    assert missing == 0


def test_too_few_deep_pixels_let_points_lie_anywhere_in_the_region() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:6, 3:6] = True  # 12 pixels, 2 of them deeper than half of the greatest depth
    ((foreground, _, missing),) = drawn(PointsPerComponent(2, 5, 0, 0), mask)
    assert set(foreground) == {(3, 4), (4, 4)}
    ((foreground, _, missing),) = drawn(PointsPerComponent(12, 5, 0, 0), mask)
    assert set(foreground) == {(int(y), int(x)) for y, x in np.argwhere(mask)}
    assert missing == 0


@pytest.mark.parametrize("prompter", [PointsPerComponent(10, 10, 3, 5), PointsOverMask(10, 3)])
def test_fewer_pixels_than_points(prompter: Prompter) -> None:
    one = np.zeros((7, 5), bool)
    one[6, 2] = True
    ((foreground, background, missing),) = drawn(prompter, one)
    assert foreground == [(6, 2)]
    assert len(background) == 3
    assert missing == 9
    full = np.ones((2, 3), bool)
    ((foreground, background, missing),) = drawn(prompter, full)
    assert len(set(foreground)) == 6
    assert background == []
    assert missing == 7
    one_out = full.copy()
    one_out[0, 0] = False
    ((foreground, background, missing),) = drawn(prompter, one_out)
    assert (len(foreground), background, missing) == (5, [(0, 0)], 7)
    assert drawn(prompter, np.zeros((7, 5), bool)) == []
    assert len(prompter(np.zeros((7, 5), bool), np.random.default_rng(0))) == 0


def test_all_prompts_of_an_image_have_equally_many_points() -> None:
    mask = two_disks()
    mask[59, 0] = True
    prompts = PointsPerComponent(10, 3, 2, 5)(mask, np.random.default_rng(0))
    assert prompts.point_labels is not None
    assert prompts.point_labels.tolist() == [[1] * 10 + [0] * 2, [1] * 10 + [0] * 2, [1] + [-1] * 9 + [0] * 2]


@pytest.mark.parametrize("prompter", [PointsPerComponent(5, 3, 5, 3), PointsOverMask(5, 5)])
def test_the_generator_decides_the_points(prompter: Prompter) -> None:
    mask = two_disks()
    draws = [drawn(prompter, mask, seed) for seed in (1, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert all(one != other for one, other in pairwise(draws[1:]))


def test_every_allowed_pixel_is_as_likely_as_another() -> None:
    mask = np.zeros((12, 14), bool)
    mask[2:9, 3:12] = True
    allowed = mask.copy()
    allowed[[2, 8]], allowed[:, [3, 11]] = False, False  # a margin of 1 leaves out one ring
    counts = np.zeros(mask.shape)
    for seed in range(1400):
        ((foreground, _, _),) = drawn(PointsPerComponent(5, 1, 0, 0), mask, seed)
        for place in foreground:
            counts[place] += 1
    assert not counts[~allowed].any()
    assert counts[allowed].min() > 140  # 200 each are expected, with a standard deviation of 13
    assert counts[allowed].max() < 260


def test_released_points_are_one_prompt_over_all_regions() -> None:
    mask = two_disks()
    labels, _ = label_components(mask)
    ((foreground, background, missing),) = drawn(PointsOverMask(40, 40), mask)
    assert {int(labels[place]) for place in foreground} == {1, 2}
    assert len(set(foreground)) == len(set(background)) == 40
    assert not any(mask[place] for place in background)
    assert missing == 0
    edge = mask & (np.pad(~mask, 1)[2:, 1:-1] | np.pad(~mask, 1)[:-2, 1:-1])
    near_edge = {place for seed in range(20) for place in drawn(PointsOverMask(40, 0), mask, seed)[0][0]}
    assert any(edge[place] for place in near_edge)  # no margin there


def test_impossible_numbers_are_clear_errors() -> None:
    good = {"count": 1, "margin": 0.0, "negative_count": 0, "negative_margin": 0.0}
    for name, value in [("count", 0), ("margin", -1), ("margin", float("nan")), ("negative_count", -1),
                        ("negative_margin", float("inf"))]:  # fmt: skip
        with pytest.raises(UserError, match=rf"`{name}` of the prompt's \w* ?points is {value}"):
            PointsPerComponent(**good | {name: value})
    with pytest.raises(UserError, match="`count`"):
        PointsOverMask(0, 0)
    with pytest.raises(UserError, match="`negative_count`"):
        PointsOverMask(1, -1)
