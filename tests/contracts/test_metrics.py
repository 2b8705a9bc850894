"""Every choice of conf/metrics scores every kind of mask and map: finite, in range, the same each time."""

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.torchmetric import SegmentationScores
from medsam_exp.testing.arrays import example_masks
from medsam_exp.testing.metrics import check_metrics
from tests.compose import choices, composed


@pytest.fixture(params=choices("metrics"))
def measures(request: pytest.FixtureRequest) -> SegmentationMeasures:
    return build(composed(f"metrics={request.param}").metrics)


def test_contract(measures: SegmentationMeasures) -> None:
    check_metrics(measures)


def test_nothing_found_and_all_invented_are_the_worst(measures: SegmentationMeasures) -> None:
    masks = example_masks((17, 41))
    missed = measures(masks["empty"], masks["boxes"], None)
    invented = measures(masks["boxes"], masks["empty"], None)
    for scores in (missed, invented):
        worst = {name: value for name, value in scores.items() if name not in ("hd95_px", "specificity")}
        assert set(worst.values()) == {0.0}


def test_masks_are_left_as_they_were(measures: SegmentationMeasures) -> None:
    """The masks are read-only."""
    masks = example_masks((17, 41))
    measures(masks["noise"], masks["boxes"], (0.5, 0.25))
    measures.of_map(masks["noise"].astype(np.float32), masks["boxes"])


def test_rows_are_gathered_in_double_precision(measures: SegmentationMeasures) -> None:
    total = SegmentationScores(measures)
    mask = np.ones((3, 4), bool)
    total.update([0], [mask], [mask], [None])
    assert total.rows[0].dtype == torch.float64
