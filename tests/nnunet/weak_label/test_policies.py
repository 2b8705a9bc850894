"""Which masks are dropped, and why, in numbers that can be checked by hand."""

import numpy as np
import pytest

from medsam_exp.nnunet.weak_label.all import AllMasks
from medsam_exp.nnunet.weak_label.confident import Confident
from medsam_exp.types import UserError
from tests.nnunet.weak_label.candidates import candidate

MASK = np.zeros((20, 20), bool)
MASK[:10, :10] = True  # a quarter of the image
EMPTY = np.zeros((20, 20), bool)


def confident(**limits: float | bool) -> Confident:
    none = dict.fromkeys(
        ("min_iou_prediction", "min_presence", "min_saliency_agreement", "min_area", "max_area")
    )
    return Confident(**(none | limits))


def test_all_keeps_everything() -> None:
    assert AllMasks()(candidate(EMPTY, iou_predictions=(), presence=None, coarse_mask=None)) is None


def test_the_worst_predicted_iou_decides() -> None:
    policy = confident(min_iou_prediction=0.5)
    assert policy(candidate(MASK, iou_predictions=(0.9, 0.41))) == "predicted IoU 0.41 below 0.5"
    assert policy(candidate(MASK, iou_predictions=(0.9, 0.5))) is None
    assert policy(candidate(MASK, iou_predictions=(1.02,))) is None


def test_presence() -> None:
    policy = confident(min_presence=0.5)
    assert policy(candidate(MASK, presence=0.25)) == "presence 0.25 below 0.5"
    assert policy(candidate(MASK, presence=0.5)) is None


def test_agreement_is_the_dsc_of_coarse_and_final_mask() -> None:
    coarse = EMPTY.copy()
    coarse[:10, :5] = True  # half of the mask: DSC = 2 * 50 / (100 + 50)
    assert confident(min_saliency_agreement=0.6)(candidate(MASK, coarse_mask=coarse)) is None
    reason = confident(min_saliency_agreement=0.7)(candidate(MASK, coarse_mask=coarse))
    assert reason == "agreement with the saliency 0.6667 below 0.7"
    assert "0 below" in confident(min_saliency_agreement=0.1)(candidate(MASK, coarse_mask=~MASK))


def test_area_is_a_share_of_the_image() -> None:
    assert confident(min_area=0.25, max_area=0.25)(candidate(MASK)) is None
    assert confident(min_area=0.3)(candidate(MASK)) == "share of the image 0.25 below 0.3"
    assert confident(max_area=0.2)(candidate(MASK)) == "share of the image 0.25 above 0.2"


def test_all_reasons_are_given() -> None:
    policy = confident(min_iou_prediction=0.9, min_presence=0.9, max_area=0.1)
    reason = policy(candidate(MASK, iou_predictions=(0.1,), presence=0.2))
    assert reason == "predicted IoU 0.1 below 0.9; presence 0.2 below 0.9; share of the image 0.25 above 0.1"


def test_without_limits_everything_with_a_pixel_is_kept() -> None:
    bare = {"iou_predictions": (), "presence": None, "coarse_mask": None}
    assert confident()(candidate(MASK, **bare)) is None
    assert confident()(candidate(~EMPTY, **bare)) is None


def test_an_empty_mask_is_dropped_unless_it_is_wanted() -> None:
    limits = {"min_iou_prediction": 0.5, "min_area": 0.1}
    nothing = candidate(EMPTY, iou_predictions=())
    assert confident(**limits)(nothing) == "the mask is empty"
    assert confident(**limits, keep_empty=True)(nothing) is None


@pytest.mark.parametrize(
    ("limit", "missing", "stage"),
    [
        ("min_iou_prediction", {"iou_predictions": ()}, "sam_mask"),
        ("min_presence", {"presence": None}, "presence"),
        ("min_saliency_agreement", {"coarse_mask": None}, "coarse_mask"),
    ],
)
def test_a_missing_fact_names_the_stage_that_makes_it(limit: str, missing: dict, stage: str) -> None:
    with pytest.raises(UserError) as caught:
        confident(**{limit: 0.5})(candidate(MASK, **missing))
    said = str(caught.value)
    assert f"weak_label.{limit} is set, but scan@tumor has no" in said
    assert f"add '{stage}' to label_stages" in said


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"min_presence": 1.5}, "weak_label.min_presence=1.5, but it must be in"),
        ({"min_area": -0.1}, "weak_label.min_area=-0.1, but"),
        ({"max_area": float("nan")}, "weak_label.max_area=nan, but"),
        ({"min_area": 0.5, "max_area": 0.2}, "weak_label.min_area=0.5 is above weak_label.max_area=0.2"),
    ],
)
def test_impossible_limits_are_refused(limits: dict, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        confident(**limits)
    assert sentence in str(caught.value)
