import numpy as np
import pytest
from matplotlib.figure import Figure

from medsam_exp.report.figures.panels import COARSE, draw_outline, draw_prompts
from medsam_exp.types import Prompts


def outline_of(mask: np.ndarray) -> np.ndarray:
    """(V, 2) x, y of the drawn border."""
    axes = Figure().add_subplot()
    draw_outline(axes, mask, COARSE)
    return np.concatenate([path.vertices for path in axes.collections[-1].get_paths()])


def test_outline_runs_around_the_pixels_in_the_image_frame() -> None:
    mask = np.zeros((30, 50), bool)
    mask[4:9, 20:33] = True
    border = outline_of(mask)
    assert border.min(axis=0).tolist() == [19.5, 3.5]
    assert border.max(axis=0).tolist() == [32.5, 8.5]


def test_outline_of_one_pixel() -> None:
    mask = np.zeros((7, 5), bool)
    mask[6, 0] = True
    border = outline_of(mask)
    assert border.min(axis=0).tolist() == [-0.5, 5.5]
    assert border.max(axis=0).tolist() == [0.5, 6.5]


def test_outline_of_a_full_image_is_closed_along_its_edge() -> None:
    border = outline_of(np.ones((7, 5), bool))
    assert border.min(axis=0).tolist() == [-0.5, -0.5]
    assert border.max(axis=0).tolist() == [4.5, 6.5]
    assert border[0].tolist() == border[-1].tolist()


def test_empty_mask_is_said_not_drawn() -> None:
    axes = Figure().add_subplot()
    label, _ = draw_outline(axes, np.zeros((4, 4), bool), COARSE)
    assert label == "coarse mask (empty)"
    assert not axes.collections


def test_box_encloses_its_pixels() -> None:
    axes = Figure().add_subplot()
    draw_prompts(axes, Prompts(boxes_xyxy=np.array([[2, 3, 5, 9], [0, 0, 1, 1]], np.float32)))
    corners = [patch.get_bbox().extents.tolist() for patch in axes.patches]
    assert corners == [[1.5, 2.5, 4.5, 8.5], [-0.5, -0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([[1, 0]], ["foreground point", "background point"]),
        ([[1, 1]], ["foreground point"]),
        ([[0, 0]], ["background point"]),
    ],
)
def test_points_are_told_apart_by_their_label(labels: list[list[int]], names: list[str]) -> None:
    axes = Figure().add_subplot()
    prompts = Prompts(point_coords=np.array([[[4, 5], [6, 7]]], np.float32), point_labels=np.array(labels))
    assert [name for name, _ in draw_prompts(axes, prompts)] == names
    drawn = np.concatenate([line.get_xydata() for line in axes.lines])
    assert drawn.tolist() == [[4, 5], [6, 7]]


def test_no_prompts_nothing_drawn() -> None:
    assert draw_prompts(Figure().add_subplot(), Prompts()) == []
