import numpy as np

from medsam_exp.sam.prompt.both import BoxAndPoints
from medsam_exp.sam.prompt.both_released import BoxesSharingPoints
from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.points import PointsPerComponent
from medsam_exp.sam.prompt.points_released import PointsOverMask
from medsam_exp.types import Mask

POINTS, POINTS_RELEASED = PointsPerComponent(8, 2, 3, 4), PointsOverMask(8, 3)


def three_regions() -> Mask:
    mask = np.zeros((40, 60), bool)
    mask[3:20, 5:25] = mask[25:40, 30:60] = mask[0, 50] = True
    return mask


def test_each_region_has_its_own_box_and_points() -> None:
    mask = three_regions()
    prompts = BoxAndPoints(BoxPerComponent(), POINTS)(mask, np.random.default_rng(0))
    boxes = BoxPerComponent()(mask, np.random.default_rng(0)).boxes_xyxy
    points = POINTS(mask, np.random.default_rng(0))
    assert len(prompts) == 3
    assert np.array_equal(prompts.boxes_xyxy, boxes)
    assert np.array_equal(prompts.point_coords, points.point_coords)
    assert np.array_equal(prompts.point_labels, points.point_labels)
    for (x0, y0, x1, y1), coords, labels in zip(
        boxes, prompts.point_coords, prompts.point_labels, strict=True
    ):
        x, y = coords[labels == 1].T
        assert len(x)
        assert ((x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)).all()


def test_jitter_leaves_the_points_alone() -> None:
    mask = three_regions()
    exact = BoxAndPoints(BoxPerComponent(), POINTS)(mask, np.random.default_rng(4))
    loose = BoxAndPoints(BoxPerComponent(0, 0.2), POINTS)(mask, np.random.default_rng(4))
    assert np.array_equal(exact.point_coords, loose.point_coords)
    assert not np.array_equal(exact.boxes_xyxy, loose.boxes_xyxy)


def test_released_boxes_share_the_points_of_the_whole_mask() -> None:
    mask = three_regions()
    prompts = BoxesSharingPoints(POINTS_RELEASED)(mask, np.random.default_rng(0))
    points = POINTS_RELEASED(mask, np.random.default_rng(0))
    # A box ends at the last pixel, not one past it, where the image ends.
    assert prompts.boxes_xyxy.tolist() == [[50, 0, 51, 1], [5, 3, 25, 20], [30, 25, 59, 39]]
    for coords, labels in zip(prompts.point_coords, prompts.point_labels, strict=True):
        assert np.array_equal(coords, points.point_coords[0])
        assert np.array_equal(labels, points.point_labels[0])
    outside = (prompts.point_coords[0, :8] != [50, 0]).any(-1)
    assert outside.any()  # the defect: the smallest region's prompt names points of the others


def test_an_empty_mask_has_no_prompts() -> None:
    empty = np.zeros((9, 4), bool)
    for prompter in (BoxAndPoints(BoxPerComponent(), POINTS), BoxesSharingPoints(POINTS_RELEASED)):
        prompts = prompter(empty, np.random.default_rng(0))
        assert len(prompts) == 0
        assert prompts.boxes_xyxy.shape == (0, 4)
        assert prompts.point_coords.shape == (0, 11, 2)
        assert prompts.point_labels.shape == (0, 11)
