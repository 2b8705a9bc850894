"""Which pixels are unknown, against a loop over pixels and by hand."""

import itertools
import math

import numpy as np
import pytest

from medsam_exp.nnunet.label_ignore.border import Border
from medsam_exp.nnunet.label_ignore.disagreement import Disagreement
from medsam_exp.nnunet.label_ignore.none import NothingUnknown
from medsam_exp.nnunet.label_ignore.unsure import Unsure
from medsam_exp.types import UserError
from tests.nnunet.weak_label.candidates import candidate

MASK = np.zeros((12, 16), bool)
MASK[3:9, 4:12] = True


def slow_band(mask: np.ndarray, width: float) -> np.ndarray:
    """Pixels whose nearest pixel of the other kind is so near that the border between them is within half the band."""
    band, reach = np.zeros(mask.shape, bool), width * math.hypot(*mask.shape) / 2
    for place in np.ndindex(mask.shape):
        others = [other for other in np.ndindex(mask.shape) if mask[other] != mask[place]]
        nearest = min((math.dist(place, other) for other in others), default=math.inf)
        band[place] = nearest - 0.5 <= reach
    return band


@pytest.mark.parametrize("width", [0.02, 0.06, 0.11, 0.3, 1.0])
def test_the_border_is_a_band_on_both_sides(width: float) -> None:
    random = np.random.default_rng(3).random((9, 8)) < 0.5
    for mask in (MASK, random, ~MASK):
        np.testing.assert_array_equal(Border(width)(candidate(mask)), slow_band(mask, width))


def test_one_pixel_on_each_side_is_the_thinnest_band() -> None:
    """A border between pixels is half a pixel from their middles, so a band of one pixel has one on each side."""
    pixel = 1 / math.hypot(*MASK.shape)
    assert not Border(0.99 * pixel)(candidate(MASK)).any()
    band = Border(1.01 * pixel)(candidate(MASK))
    assert band[3, 5]
    assert band[2, 5]
    assert not band[4, 5]
    assert not band[1, 5]
    assert not band[2, 3], "a corner touches nothing"


@pytest.mark.parametrize("mask", [np.zeros((5, 7), bool), np.ones((5, 7), bool)])
def test_a_mask_of_nothing_or_everything_has_no_border(mask: np.ndarray) -> None:
    assert not Border(1.0)(candidate(mask)).any()


def test_disagreement_is_what_one_mask_has_and_the_other_has_not() -> None:
    coarse = np.roll(MASK, 2, axis=1)
    unknown = Disagreement()(candidate(MASK, coarse_mask=coarse))
    for place in np.ndindex(MASK.shape):
        assert unknown[place] == (MASK[place] != coarse[place])


def test_unsure_lies_strictly_between_its_limits() -> None:
    probability = np.array([[0.0, 0.25, 0.26], [0.5, 0.75, 1.0]], np.float32)
    unknown = Unsure(0.25, 0.75)(candidate(probability > 0.5, probability=probability))
    np.testing.assert_array_equal(unknown, [[False, False, True], [True, False, False]])


@pytest.mark.parametrize("limits", [(0.7, 0.3), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_limits_of_unsure_that_mean_nothing_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r"label_ignore.lower=.* need 0 <= lower < upper <= 1"):
        Unsure(*limits)


@pytest.mark.parametrize("width", [0.0, -0.1, 1.1])
def test_a_width_that_is_no_share_is_refused(width: float) -> None:
    with pytest.raises(UserError, match=r"label_ignore.width"):
        Border(width)


def test_only_none_marks_nothing_and_says_so() -> None:
    probability = np.full(MASK.shape, 0.5, np.float32)
    found = candidate(MASK, coarse_mask=~MASK, probability=probability)
    for choice, marks in itertools.chain(
        [(NothingUnknown(), False)],
        [(each, True) for each in (Border(0.1), Disagreement(), Unsure(0.3, 0.7))],
    ):
        assert choice.marks == marks
        assert choice(found).any() == marks
