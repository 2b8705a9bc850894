from pathlib import Path

import numpy as np
import pytest

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.box_all import BoxAroundAll
from medsam_exp.sam.prompt.box_all_released import BoxAroundAllReleased
from medsam_exp.sam.prompt.box_released import BoxPerOutline
from medsam_exp.sam.prompt.center_box import CenterBox
from medsam_exp.types import Mask, Prompter, UserError


def boxes(prompter: Prompter, mask: Mask) -> list[list[float]]:
    prompts = prompter(mask, np.random.default_rng(0))
    assert prompts.boxes_xyxy is not None
    assert prompts.boxes_xyxy.dtype == np.float32
    assert prompts.boxes_xyxy.shape == (len(prompts), 4)
    assert prompts.point_coords is None
    assert prompts.point_labels is None
    return prompts.boxes_xyxy.tolist()


@pytest.mark.parametrize("number", range(4))
def test_equal_released_boxes(goldens: Path, number: int) -> None:
    with np.load(goldens / "postprocess.npz") as stored:
        mask = stored[f"kmeans_{number}"]
        each, (x, y, w, h) = stored[f"boxes_each_xywh_{number}"], stored[f"box_all_xywh_{number}"]
    expected = sorted([x0, y0, x0 + width, y0 + height] for x0, y0, width, height in each.tolist())
    assert sorted(boxes(BoxPerComponent(), mask)) == expected
    assert boxes(BoxAroundAll(), mask) == [[x, y, x + w, y + h]]
    right, bottom = (
        mask.shape[1] - 1,
        mask.shape[0] - 1,
    )  # stored as found, before the released code clips them
    clipped = [[x0, y0, min(x1, right), min(y1, bottom)] for x0, y0, x1, y1 in expected]
    assert sorted(boxes(BoxPerOutline(), mask)) == sorted(clipped)
    assert boxes(BoxAroundAllReleased(), mask) == [[x, y, min(x + w, right), min(y + h, bottom)]]


def test_released_boxes_end_at_the_last_pixel() -> None:
    mask = np.zeros((100, 120), bool)
    mask[60:, 70:] = True
    assert boxes(BoxAroundAll(), mask) == [[70, 60, 120, 100]]
    assert boxes(BoxAroundAllReleased(), mask) == [[70, 60, 119, 99]]
    mask[5:8, 3:9] = True
    assert boxes(BoxPerOutline(), mask) == [[3, 5, 9, 8], [70, 60, 119, 99]]
    assert boxes(BoxAroundAllReleased(), mask) == [[3, 5, 119, 99]]


def test_released_boxes_are_of_outer_outlines() -> None:
    """A region in the hole of another, which OpenCV's external contours leave out."""
    ring = np.zeros((30, 30), bool)
    ring[5:25, 5:25] = True
    ring[8:22, 8:22] = False
    ring[14:16, 14:16] = True
    assert len(boxes(BoxPerComponent(), ring)) == 2
    assert boxes(BoxPerOutline(), ring) == [[5, 5, 25, 25]]
    ring[5:8, 14] = False  # no longer a hole
    assert len(boxes(BoxPerOutline(), ring)) == 2


@pytest.mark.parametrize("prompter", [BoxPerComponent(), BoxAroundAll()])
def test_edge_cases(prompter: Prompter) -> None:
    assert boxes(prompter, np.zeros((7, 5), bool)) == []
    assert boxes(prompter, np.ones((7, 5), bool)) == [[0, 0, 5, 7]]
    one = np.zeros((7, 5), bool)
    one[6, 2] = True
    assert boxes(prompter, one) == [[2, 6, 3, 7]]


@pytest.mark.parametrize("prompter", [BoxPerOutline(), BoxAroundAllReleased()])
def test_edge_cases_as_released(prompter: Prompter) -> None:
    assert boxes(prompter, np.zeros((7, 5), bool)) == []
    assert boxes(prompter, np.ones((7, 5), bool)) == [[0, 0, 4, 6]]
    last = np.zeros((7, 5), bool)
    last[6, 4] = True
    assert boxes(prompter, last) == [[4, 6, 4, 6]]  # without area, as there


def test_regions_in_scan_order_and_corners_connect() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 1, 0], [1, 0, 0, 0]], bool)
    assert boxes(BoxPerComponent(), mask) == [[2, 0, 4, 2], [0, 1, 1, 3]]
    assert boxes(BoxAroundAll(), mask) == [[0, 0, 4, 3]]


def test_a_box_cuts_out_exactly_its_region() -> None:
    mask = np.zeros((30, 20), bool)
    mask[4:9, 3:17] = True
    ((x0, y0, x1, y1),) = np.array(boxes(BoxPerComponent(), mask), int)
    assert mask[y0:y1, x0:x1].all()
    assert mask.sum() == (y1 - y0) * (x1 - x0)


def test_center_box_ignores_the_mask() -> None:
    corner = np.zeros((100, 60), bool)
    corner[0, 0] = True
    for mask in (corner, np.zeros((100, 60), bool), np.ones((100, 60), bool)):
        assert boxes(CenterBox(0.5), mask) == [[15, 25, 45, 75]]
    assert boxes(CenterBox(1.0), corner) == [[0, 0, 60, 100]]


def test_impossible_fractions_are_clear_errors() -> None:
    for fraction in (0.0, 1.1, float("nan")):
        with pytest.raises(UserError, match=r"prompt\.side_fraction is"):
            CenterBox(fraction)
