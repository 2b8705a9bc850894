from pathlib import Path

import numpy as np
import pytest

from medsam_exp.metrics.nsd_released import nsd_released
from medsam_exp.metrics.overlap import dice
from medsam_exp.metrics.released import ReleasedMeasures
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.types import UserError

MEASURES = ReleasedMeasures(nsd_tolerance=2.0, tolerance_unit="px", slab_tolerance_px=2.0)


@pytest.mark.parametrize("number", range(6))
def test_released_scores_stand_beside_the_true_ones(goldens: Path, number: int) -> None:
    stored = np.load(goldens / "metrics.npz")
    prediction, truth = stored[f"pred_{number}"], stored[f"gt_{number}"]
    scores = MEASURES(prediction, truth, None)
    assert scores["dsc_released"] == round(float(stored[f"dsc_{number}"]), 4)
    assert scores["nsd_released"] == round(float(stored[f"nsd_slab_tol2_{number}"]), 4)
    assert dice(prediction, truth) == pytest.approx(stored[f"dsc_{number}"], abs=1e-12)
    true = SegmentationMeasures(2.0, "px")(prediction, truth, None)
    assert {name: scores[name] for name in true} == true


def test_the_slab_has_a_tolerance_of_its_own() -> None:
    prediction, truth = np.zeros((2, 40, 40), bool)
    prediction[8:30, 8:30] = truth[12:34, 12:34] = True
    wider = ReleasedMeasures(2.0, "px", 4.0)(prediction, truth, None)
    assert wider["nsd_released"] == round(nsd_released(prediction, truth, 4.0), 4)
    assert wider["nsd_released"] > MEASURES(prediction, truth, None)["nsd_released"]
    assert wider["nsd"] == MEASURES(prediction, truth, None)["nsd"]
    in_mm = ReleasedMeasures(2.0, "mm", 2.0)(prediction, truth, (0.1, 0.1))
    assert in_mm["nsd_released"] == MEASURES(prediction, truth, None)["nsd_released"]


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(UserError, match="slab_tolerance_px is -1"):
        ReleasedMeasures(2.0, "px", -1.0)
