"""Prompts that a human gave are handed on as they are."""

import numpy as np
import pytest

from medsam_exp.sam.prompt.given import GivenPrompts
from medsam_exp.types import Prompts, UserError

ANY = np.random.default_rng(0)


def asked(*prompts: dict, shape: tuple[int, int] = (20, 30)) -> Prompts:
    return GivenPrompts(prompts)(np.zeros(shape, bool), ANY)


def test_boxes_and_points_of_different_counts() -> None:
    found = asked({"box": [1, 2, 5, 6]}, {"box": [3, 3, 90, 9], "points": [[4, 5, 1], [6, 7, 0]]})
    assert found.boxes_xyxy is not None
    assert found.boxes_xyxy.tolist() == [[1, 2, 5, 6], [3, 3, 30, 9]]
    assert found.point_coords is not None
    assert found.point_labels is not None
    assert found.point_coords.tolist() == [[[0, 0], [0, 0]], [[4, 5], [6, 7]]]
    assert found.point_labels.tolist() == [[-1, -1], [1, 0]]
    assert (found.boxes_xyxy.dtype, found.point_labels.dtype) == (np.float32, np.int64)


def test_points_in_the_first_pixels_are_no_shares() -> None:
    assert asked({"points": [[0, 1, 1], [1, 1, 0]]}).point_coords is not None
    assert asked({"box": [0.5, 0.5, 1.5, 9]}).boxes_xyxy is not None


def test_points_alone_and_boxes_alone() -> None:
    assert asked({"points": [[4, 5, 1]]}).boxes_xyxy is None
    assert asked({"box": [1, 2, 5, 6]}).point_coords is None
    assert len(asked()) == 0


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([{}], "neither a box nor points"),
        ([{"box": [5, 2, 1, 6]}], r"\[0\] has the box \[5, 2, 1, 6\]"),
        ([{"box": [1, 2, 3]}], "x0, y0, x1, y1"),
        ([{"box": [1, 2, 3, 4]}, {"points": [[1, 2, 2]]}], r"\[1\] has the point \[1, 2, 2\]"),
        ([{"boxes": [1]}], "has boxes; a prompt has `box` and `points`"),
        ([{"box": [1, 2, 3, 4]}, {"points": [[1, 2, 1]]}], "give all of them one, or none"),
        ([{"points": [[30, 2, 1]]}], r"point at \(30, 2\), outside of 30 x 20"),
        ([{"box": [30, 2, 40, 8]}], "box outside of 30 x 20"),
        ([{"box": ["a", "b", "c", "d"]}], r"has the box \['a', 'b', 'c', 'd'\], but it must be \[x0"),
        ([{"box": "1234"}], "has the box '1234', but it must be"),
        ([{"box": 5}], "has the box 5, but it must be"),
        ([{"box": [0, 0, float("inf"), 9]}], "but it must be"),
        ([{"points": [4, 5, 1]}], "has the point 4, but it must be"),
        ([{"points": [["x", 5, 1]]}], r"has the point \['x', 5, 1\], but it must be"),
        ([[1, 2, 3, 4]], r"\[0\] is \[1, 2, 3, 4\], but it must be a table"),
        ([{"box": [0.2, 0.2, 0.6, 0.6]}], "looks like shares of the image's sides: give pixels"),
        ([{"box": [0, 0, 1, 1]}], "looks like shares of the image's sides"),
        ([{"points": [[0.5, 0.5, 1], [1, 1, 0]]}], "looks like shares of the image's sides"),
    ],
)
def test_what_makes_no_sense_is_said(prompts: list[dict], said: str) -> None:
    with pytest.raises(UserError, match=said):
        asked(*prompts)
