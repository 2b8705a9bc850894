"""Check of the measures of masks and saliency maps."""

import json
import math
from typing import Any

import numpy as np

from medsam_exp.metrics.measures import ALL_MEASURES
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.torchmetric import SegmentationScores
from medsam_exp.runtime.json_text import json_text
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import about, contract, expect, expect_error
from medsam_exp.types import Mask, UserError

_SPACINGS = (None, (0.5, 0.25))
_MASKS = ("empty", "full", "a pixel", "boxes", "noise")
_SHAPE = SHAPES["not square"]


@contract
def check_metrics(measures: SegmentationMeasures | Any, /) -> None:
    """Check measures: finite numbers in range for any masks and maps, the same each time, best for equal masks."""
    expect(isinstance(measures, SegmentationMeasures), "must be a SegmentationMeasures")
    for spacing in _SPACINGS:
        unknown = [each for each in measures.names(spacing) if each not in ALL_MEASURES]
        expect(not unknown, f"register_measure(...) was not called for {', '.join(unknown)}")
    for shape_name, shape in SHAPES.items():
        used = ("empty", "boxes") if shape_name == "large" else _MASKS
        masks = {each: mask for each, mask in example_masks(shape).items() if each in used}
        for true, truth in masks.items():
            for predicted, prediction in masks.items():
                for spacing in _SPACINGS:
                    with about(f"prediction {predicted!r}, truth {true!r}, {shape}, spacing {spacing}"):
                        _check_scores(measures, prediction, truth, spacing)
            with about(f"a map of {shape}, truth {true!r}"):
                _check_maps(measures, truth)
    _check_best_scores(measures)
    _check_over_images(measures)
    expect_error(
        UserError,
        "both must have the image's size",
        "masks of different sizes must be refused",
        measures,
        np.zeros((4, 5), bool),
        np.zeros((5, 4), bool),
        None,
    )


def _check_scores(
    measures: SegmentationMeasures, prediction: Mask, truth: Mask, spacing: tuple[float, float] | None
) -> None:
    scores, names = measures(prediction, truth, spacing), measures.names(spacing)
    expect(tuple(scores) == names, f"gives {', '.join(scores)}, but names() says {', '.join(names)}")
    for each, value in scores.items():
        expect(type(value) is float and math.isfinite(value), f"{each} is {value!r}, no finite float")
        in_range = 0 <= value <= 1 if ALL_MEASURES[each].higher_is_better else value >= 0
        expect(in_range, f"{each} is {value}, out of its range")
    expect(json.loads(json_text(scores)) == scores, "scores change when they are stored")
    expect(measures(prediction, truth, spacing) == scores, "other scores the second time")


def _check_maps(measures: SegmentationMeasures, truth: Mask) -> None:
    ramp = np.linspace(0, 1, truth.size, dtype=np.float32).reshape(truth.shape)
    for saliency_map in (ramp, np.zeros_like(ramp), np.ones_like(ramp)):
        scores = measures.of_map(saliency_map, truth)
        finite = all(type(value) is float and math.isfinite(value) for value in scores.values())
        expect(finite, f"scores are {scores}, not finite floats")
        expect(measures.of_map(saliency_map, truth) == scores, "other scores the second time")
        expect(scores.get("peak_distance_px", 0) >= 0, "a distance is negative")
        expect(truth.any() or scores == {}, "an image without a target has no scores of its map")


def _check_best_scores(measures: SegmentationMeasures) -> None:
    """Equal masks are perfect; what is symmetric of the usual measures stays so."""
    masks = example_masks(_SHAPE)
    for shown, mask in masks.items():
        for each, value in measures(mask, mask, None).items():
            best = 1.0 if ALL_MEASURES[each].higher_is_better else 0.0
            expect(value == best, f"{each} of equal masks ({shown!r}) is {value}, but must be {best}")
    for prediction, truth in ((masks["empty"], masks["boxes"]), (masks["boxes"], masks["empty"])):
        scores = measures(prediction, truth, None)
        expect(scores["dsc"] == 0, f"dsc is {scores['dsc']} where only one of the masks is empty")
    forth = measures(masks["noise"], masks["boxes"], _SPACINGS[1])
    back = measures(masks["boxes"], masks["noise"], _SPACINGS[1])
    for each in forth:
        equal = not ALL_MEASURES[each].symmetric or math.isclose(forth[each], back[each], abs_tol=1e-12)
        expect(equal, f"{each} changes when prediction and truth change places")


def _check_over_images(measures: SegmentationMeasures) -> None:
    masks = [*example_masks(_SHAPE).values()]
    total = SegmentationScores(measures)
    total.update(range(len(masks)), masks, masks[::-1], [None] * len(masks))
    summary = total.compute()
    expect(tuple(summary) == measures.names(None), "a measure is missing from the mean over images")
    counted = all(figure["n"] == len(masks) for figure in summary.values())
    expect(counted, "not every image counts in the mean over images")
