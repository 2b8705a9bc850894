import numpy as np
import pytest

from medsam_exp.training.prompt_jitter import (
    box_iou,
    filled_box,
    jittered_box,
    missing_box,
    random_component,
    random_points,
    tight_box,
)


def rectangle(shape=(40, 60), rows=slice(10, 20), columns=slice(30, 36)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def test_tight_box_ends_one_past_the_last_pixel() -> None:
    assert tight_box(rectangle()).tolist() == [30, 10, 36, 20]
    one = np.zeros((5, 4), dtype=bool)
    one[4, 3] = True
    assert tight_box(one).tolist() == [3, 4, 4, 5]


def test_box_iou_equals_counted_pixels() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        boxes, masks = [], []
        for _ in range(2):
            (x0, y0), (width, height) = generator.integers(0, 10, 2), generator.integers(1, 10, 2)
            x1, y1 = x0 + width, y0 + height
            boxes.append(np.array([x0, y0, x1, y1], dtype=np.float32))
            masks.append(rectangle((20, 20), slice(y0, y1), slice(x0, x1)))
        expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert box_iou(*boxes) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("box", [[30, 10, 36, 20], [0, 0, 60, 40], [59, 39, 60, 40]])
def test_jittered_boxes_range_from_tight_to_rough_and_stay_inside(box: list[int]) -> None:
    true = np.array(box, dtype=np.float32)
    boxes = [jittered_box(true, (40, 60), 0.3, np.random.default_rng(seed)) for seed in range(400)]
    overlaps = np.array([box_iou(jittered, true) for jittered in boxes])
    assert overlaps.min() >= 0.3
    assert (overlaps > 0.9).mean() > 0.05
    assert (overlaps < 0.75).mean() > 0.05
    corners = np.stack(boxes)
    assert corners.min() >= 0
    assert corners[:, 2].max() <= 60
    assert corners[:, 3].max() <= 40
    assert (corners[:, 2:] > corners[:, :2]).all()


def test_missing_boxes_lie_inside_the_image_and_beside_the_object() -> None:
    mask = rectangle()
    for seed in range(200):
        box = missing_box(mask, tight_box(mask), np.random.default_rng(seed))
        assert box is not None
        assert not (filled_box(box, (40, 60)) & mask).any()
        assert (box[:2] >= 0).all()
        assert box[2] <= 60
        assert box[3] <= 40
        assert (np.ptp(box.reshape(2, 2), axis=0) <= [12, 20]).all()
    full = np.ones((40, 60), dtype=bool)
    assert missing_box(full, tight_box(mask), np.random.default_rng(0)) is None


def test_filled_box_holds_the_pixels_that_are_touched() -> None:
    box = np.array([30.5, 10, 36, 19.2], dtype=np.float32)
    assert np.array_equal(filled_box(box, (40, 60)), rectangle())


def test_points_lie_where_their_labels_say() -> None:
    mask = rectangle()
    box = np.array([25, 5, 45, 25], dtype=np.float32)
    used, backgrounds = set(), 0
    for seed in range(200):
        points, labels = random_points(mask, box, 5, np.random.default_rng(seed))
        assert points.shape == (5, 2)
        assert labels[0] == 1
        used.add(int((labels >= 0).sum()))
        backgrounds += int((labels == 0).sum())
        for (x, y), label in zip(points, labels, strict=True):
            if label >= 0:
                assert mask[int(y), int(x)] == bool(label)
                assert box[0] <= x <= box[2]
                assert box[1] <= y <= box[3]
    assert used == {1, 2, 3, 4, 5}
    assert 50 < backgrounds < 300


def test_points_of_a_mask_that_fills_its_box_are_all_foreground() -> None:
    full = np.ones((1, 1), dtype=bool)
    for seed in range(20):
        points, labels = random_points(full, tight_box(full), 5, np.random.default_rng(seed))
        assert set(labels.tolist()) <= {1, -1}
        assert points[0].tolist() == [0.5, 0.5]


def test_components_are_drawn_by_their_area() -> None:
    mask = rectangle(rows=slice(0, 3), columns=slice(0, 10)) | rectangle(
        rows=slice(20, 21), columns=slice(0, 10)
    )
    drawn = [random_component(mask, np.random.default_rng(seed)).sum() for seed in range(400)]
    assert set(drawn) == {30, 10}
    assert np.mean(np.array(drawn) == 30) == pytest.approx(0.75, abs=0.07)
    assert np.array_equal(random_component(rectangle(), np.random.default_rng(0)), rectangle())
