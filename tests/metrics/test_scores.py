import json

import pytest

from medsam_exp.metrics.overlap import dice, iou
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.surface import compare_outlines
from medsam_exp.types import UserError
from tests.metrics.squares import MEASURES, SPACING, pair


def test_one_image_gets_every_measure() -> None:
    prediction, truth = pair(1)
    scores = MEASURES(prediction, truth, SPACING)
    in_px, in_mm = compare_outlines(prediction, truth), compare_outlines(prediction, truth, SPACING)
    assert scores == {
        "dsc": dice(prediction, truth),
        "iou": iou(prediction, truth),
        "nsd": in_mm.nsd(1.0),
        "hd95_px": in_px.hd95(),
        "hd95_mm": in_mm.hd95(),
    }
    assert tuple(scores) == MEASURES.names(SPACING)
    without = SegmentationMeasures(1.0, "px")
    assert without(prediction, truth, None)["nsd"] == in_px.nsd(1.0) != scores["nsd"]
    assert tuple(without(prediction, truth, None)) == without.names(None) == ("dsc", "iou", "nsd", "hd95_px")


def test_scores_can_be_written_as_json() -> None:
    for index in (0, 1, 10):
        scores = MEASURES(*pair(index), SPACING)
        assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_bad_input_is_a_clear_error() -> None:
    prediction, truth = pair(1)
    with pytest.raises(UserError, match="size of a pixel is unknown"):
        MEASURES(prediction, truth, None)
    with pytest.raises(UserError, match=r"\(24, 29\), but the true mask \(24, 30\)"):
        MEASURES(prediction[:, 1:], truth, SPACING)
    with pytest.raises(UserError, match="nsd_tolerance is -1"):
        SegmentationMeasures(-1.0, "px")
    with pytest.raises(UserError, match="must be px or mm"):
        SegmentationMeasures(1.0, "cm")  # type: ignore[arg-type]
