"""Every choice of conf/metrics scores every kind of mask and map: finite, in range, the same each time."""

import json

import numpy as np
import pytest
import torch

from medsam_exp.config.build import build
from medsam_exp.metrics.live import SegmentationScores
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.types import Mask, UserError
from tests.compose import CONF, composed

CHOICES = sorted(path.stem for path in (CONF / "metrics").glob("*.yaml"))
SYMMETRIC = {"dsc", "iou", "nsd", "hd95_px", "hd95_mm", "dsc_released", "nsd_released"}
SHAPES = {"square": (32, 32), "not square": (17, 41), "tiny": (1, 1), "a line": (1, 9), "large": (600, 800)}


def masks(shape: tuple[int, int]) -> dict[str, Mask]:
    height, width = shape
    empty, full, one, box, noise = (np.zeros(shape, bool) for _ in range(5))
    full[:] = True
    one[height // 2, width // 2] = True
    box[height // 4 : height // 2 + 1, width // 3 : width // 2 + 1] = True
    noise[np.random.default_rng(0).random(shape) < 0.3] = True
    return {"empty": empty, "full": full, "one pixel": one, "box": box, "noise": noise}


@pytest.fixture(params=CHOICES)
def measures(request: pytest.FixtureRequest) -> SegmentationMeasures:
    built = build(composed(f"metrics={request.param}").metrics)
    assert isinstance(built, SegmentationMeasures)
    return built


@pytest.mark.parametrize("spacing", [None, (0.5, 0.25)], ids=["pixels", "millimetres"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_masks_are_scored(
    measures: SegmentationMeasures, shape: tuple[int, int], spacing: tuple[float, float] | None
) -> None:
    kinds = masks(shape)
    shown = kinds if shape != SHAPES["large"] else {name: kinds[name] for name in ("empty", "box")}
    for prediction in shown.values():
        for truth in shown.values():
            scores = measures(prediction, truth, spacing)
            assert tuple(scores) == measures.names(spacing)
            assert all(type(value) is float for value in scores.values())
            bounded = [value for name, value in scores.items() if not name.startswith("hd95")]
            assert all(0 <= value <= 1 for value in bounded)
            assert json.loads(json.dumps(scores, allow_nan=False)) == scores
            assert measures(prediction, truth, spacing) == scores


def test_the_same_mask_is_perfect_and_nothing_found_is_the_worst(measures: SegmentationMeasures) -> None:
    kinds = masks((17, 41))
    for mask in kinds.values():
        scores = measures(mask, mask, None)
        assert {name: value for name, value in scores.items() if value != 1} == {"hd95_px": 0.0}
    missed = measures(kinds["empty"], kinds["box"], None)
    invented = measures(kinds["box"], kinds["empty"], None)
    for scores in (missed, invented):
        worst = {name: value for name, value in scores.items() if name not in ("hd95_px", "specificity")}
        assert set(worst.values()) == {0.0}


def test_what_must_be_symmetric_is(measures: SegmentationMeasures) -> None:
    kinds = masks((17, 41))
    forth = measures(kinds["noise"], kinds["box"], (0.5, 0.25))
    back = measures(kinds["box"], kinds["noise"], (0.5, 0.25))
    for name in SYMMETRIC & set(forth):
        assert forth[name] == pytest.approx(back[name], abs=1e-12)
    assert {name for name in forth if forth[name] != pytest.approx(back[name])} <= set(forth) - SYMMETRIC


def test_masks_are_left_as_they_were(measures: SegmentationMeasures) -> None:
    prediction, truth = masks((17, 41))["noise"], masks((17, 41))["box"]
    prediction.flags.writeable = truth.flags.writeable = False
    measures(prediction, truth, (0.5, 0.25))
    measures.of_map(prediction.astype(np.float32), truth)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_maps_are_scored(measures: SegmentationMeasures, shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    for saliency_map in (ramp, np.zeros(shape, np.float32), np.ones(shape, np.float32)):
        for name, truth in masks(shape).items():
            scores = measures.of_map(saliency_map, truth)
            assert all(type(value) is float and np.isfinite(value) for value in scores.values())
            assert measures.of_map(saliency_map, truth) == scores
            if not truth.any():
                assert scores == {}, name
            else:
                assert scores["peak_distance_px"] >= 0


def test_it_counts_over_many_images(measures: SegmentationMeasures) -> None:
    total = SegmentationScores(measures)
    kinds = list(masks((17, 41)).values())
    total.update(range(5), kinds, kinds[::-1], [None] * 5)
    assert tuple(total.compute()) == measures.names(None)
    assert all(figure["n"] == 5 for figure in total.compute().values())
    assert total.rows[0].dtype == torch.float64


def test_masks_of_another_size_are_refused(measures: SegmentationMeasures) -> None:
    with pytest.raises(UserError, match="both must have the image's size"):
        measures(np.zeros((4, 5), bool), np.zeros((5, 4), bool), None)
