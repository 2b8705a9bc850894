import numpy as np
import pytest

from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.box_all import BoxAroundAll
from medsam_exp.types import Mask, UserError


def two_bars() -> Mask:
    mask = np.zeros((100, 200), bool)
    mask[10:30, 40:80] = True
    mask[60:100, 150:190] = True
    return mask


def boxes(prompter: BoxPerComponent | BoxAroundAll, mask: Mask, seed: int = 0) -> np.ndarray:
    found = prompter(mask, np.random.default_rng(seed)).boxes_xyxy
    assert found is not None
    assert found.dtype == np.float32
    return found


def test_expansion_is_a_share_of_the_side_at_either_end() -> None:
    assert boxes(BoxPerComponent(0.25), two_bars()).tolist() == [[30, 5, 90, 35], [140, 50, 200, 100]]
    assert boxes(BoxAroundAll(0.1), two_bars()).tolist() == [[25, 1, 200, 100]]
    assert boxes(BoxPerComponent(50), two_bars()).tolist() == [[0, 0, 200, 100]] * 2


@pytest.mark.parametrize("kind", [BoxPerComponent, BoxAroundAll])
def test_tight_boxes_ask_for_no_randomness(kind: type) -> None:
    generator = np.random.default_rng(0)
    assert np.array_equal(
        kind(0.0, 0.0)(two_bars(), generator).boxes_xyxy, kind()(two_bars(), generator).boxes_xyxy
    )
    assert generator.random() == np.random.default_rng(0).random()


def test_jitter_moves_every_border_by_itself_within_its_share() -> None:
    tight, side = np.array([40, 10, 80, 30]), np.array([40, 20, 40, 20])
    moves = np.array(
        [(boxes(BoxPerComponent(0, 0.2), two_bars(), seed)[0] - tight) / side for seed in range(500)]
    )
    assert np.abs(moves).max() <= 0.2 + 1e-6
    assert (moves.max(0) > 0.19).all()
    assert (moves.min(0) < -0.19).all()
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.2


@pytest.mark.parametrize("kind", [BoxPerComponent, BoxAroundAll])
def test_jittered_boxes_stay_in_the_image_and_keep_an_area(kind: type) -> None:
    for mask in (two_bars(), np.ones((1, 1), bool), np.ones((7, 3), bool)):
        for seed in range(50):
            x0, y0, x1, y1 = boxes(kind(0.1, 0.49), mask, seed).T
            assert (x0 >= 0).all()
            assert (y0 >= 0).all()
            assert (x1 <= mask.shape[1]).all()
            assert (y1 <= mask.shape[0]).all()
            assert (x1 > x0).all()
            assert (y1 > y0).all()


def test_the_generator_decides_the_jitter() -> None:
    prompter = BoxPerComponent(0.0, 0.1)
    assert np.array_equal(boxes(prompter, two_bars(), 1), boxes(prompter, two_bars(), 1))
    assert not np.array_equal(boxes(prompter, two_bars(), 1), boxes(prompter, two_bars(), 2))
    empty = np.zeros((5, 6), bool)
    assert boxes(prompter, empty).shape == boxes(BoxAroundAll(0.1, 0.1), empty).shape == (0, 4)


@pytest.mark.parametrize("kind", [BoxPerComponent, BoxAroundAll])
def test_impossible_shares_are_clear_errors(kind: type) -> None:
    for expansion in (-0.1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"`expansion` of the prompt's boxes is"):
            kind(expansion, 0.0)
    for jitter in (-0.1, 0.5, float("nan")):
        with pytest.raises(UserError, match=r"`jitter` of the prompt's boxes is"):
            kind(0.0, jitter)
