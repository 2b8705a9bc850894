"""How clicks and a box join the automatic prompts."""

import numpy as np
import pytest

from medsam_exp.cli.interactive.correction import Correction, corrected_prompts
from medsam_exp.types import Prompts, UserError

TWO_BOXES = Prompts(boxes_xyxy=np.array([[0, 0, 10, 10], [40, 40, 60, 50]], np.float32))
TWO_POINTS = Prompts(
    point_coords=np.array([[[5, 5], [6, 6]], [[50, 45], [0, 0]]], np.float32),
    point_labels=np.array([[1, 1], [1, -1]]),
)


def test_a_foreground_point_joins_the_box_it_lies_in() -> None:
    found = corrected_prompts(TWO_BOXES, Correction(points=((45, 42, 1),)))
    assert found == [{"box": [0, 0, 10, 10]}, {"box": [40, 40, 60, 50], "points": [[45, 42, 1]]}]


def test_a_box_is_widened_to_hold_its_point() -> None:
    found = corrected_prompts(TWO_BOXES, Correction(points=((62, 55, 1),)))
    assert found[1] == {"box": [40, 40, 63, 56], "points": [[62, 55, 1]]}


def test_a_background_point_joins_every_prompt() -> None:
    found = corrected_prompts(TWO_BOXES, Correction(points=((2, 2, 0),)))
    assert [prompt["points"] for prompt in found] == [[[2, 2, 0]]] * 2


def test_a_foreground_point_joins_the_nearest_points() -> None:
    found = corrected_prompts(TWO_POINTS, Correction(points=((48, 40, 1),)))
    assert found == [{"points": [[5, 5, 1], [6, 6, 1]]}, {"points": [[50, 45, 1], [48, 40, 1]]}]


def test_a_drawn_box_takes_the_place_of_all() -> None:
    found = corrected_prompts(TWO_BOXES, Correction(points=((1, 2, 0),), box=(3, 4, 9, 9)))
    assert found == [{"box": [3, 4, 9, 9], "points": [[1, 2, 0]]}]


@pytest.mark.parametrize("automatic", [Prompts(), TWO_BOXES])
def test_points_alone(automatic: Prompts) -> None:
    given = Correction(points=((1, 2, 1), (3, 4, 0)), keep_automatic=False)
    assert corrected_prompts(automatic, given) == [{"points": [[1, 2, 1], [3, 4, 0]]}]


def test_background_points_alone_mean_nothing() -> None:
    with pytest.raises(UserError, match="click on what you look for"):
        corrected_prompts(Prompts(), Correction(points=((3, 4, 0),)))


def test_nothing_clicked_is_no_correction() -> None:
    assert not Correction()
    assert Correction(box=(1, 1, 2, 2))
