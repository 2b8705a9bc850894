"""Weights of images in numbers that can be checked by hand."""

import numpy as np
import pytest

from medsam_exp.nnunet.label_weight.agreement import Agreement
from medsam_exp.nnunet.label_weight.equal import EqualWeight
from medsam_exp.nnunet.label_weight.predicted_iou import PredictedIoU
from medsam_exp.types import UserError
from tests.nnunet.weak_label.candidates import candidate

MASK = np.zeros((20, 20), bool)
MASK[:10, :10] = True
EMPTY = np.zeros((20, 20), bool)


def test_equal() -> None:
    assert EqualWeight()(candidate(EMPTY, coarse_mask=None, iou_predictions=())) == 1.0


def test_the_worst_predicted_iou_between_the_limit_and_one() -> None:
    weight = PredictedIoU(least=0.1)
    assert weight(candidate(MASK, iou_predictions=(0.9, 0.41))) == 0.41
    assert weight(candidate(MASK, iou_predictions=(0.02,))) == 0.1
    assert weight(candidate(MASK, iou_predictions=(1.03,))) == 1.0
    assert weight(candidate(EMPTY, iou_predictions=())) == 0.1


def test_agreement_is_the_dsc_of_the_two_masks() -> None:
    coarse = EMPTY.copy()
    coarse[:10, :5] = True  # half of the mask: DSC = 2 * 50 / (100 + 50)
    weight = Agreement(least=0.1)
    assert weight(candidate(MASK, coarse_mask=coarse)) == pytest.approx(2 / 3)
    assert weight(candidate(MASK, coarse_mask=~MASK)) == 0.1
    assert weight(candidate(EMPTY, coarse_mask=EMPTY)) == 1.0


@pytest.mark.parametrize("make", [PredictedIoU, Agreement])
@pytest.mark.parametrize("least", [0.0, -0.1, 1.1])
def test_a_limit_that_never_draws_an_image_is_refused(make: type, least: float) -> None:
    with pytest.raises(UserError, match=r"label_weight.least=.* must be in \(0, 1\]"):
        make(least)
