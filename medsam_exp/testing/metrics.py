"""Check of the measures of masks and saliency maps."""

import json
import math
from typing import Any

import numpy as np

from medsam_exp.metrics.live import SegmentationScores
from medsam_exp.metrics.measures import ALL_MEASURES
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.runtime.json_text import json_text
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import built, expect, expect_error, name_of
from medsam_exp.types import Mask, UserError

_SPACINGS = (None, (0.5, 0.25))
_MASKS = ("empty", "full", "a pixel", "boxes", "noise")
_SHAPE = SHAPES["not square"]


def check_metrics(measures: SegmentationMeasures | Any) -> None:
    """Check measures: finite numbers in range for any masks and maps, the same each time, best for equal masks.

    Args:
        measures: the object, or a configuration node that describes it.

    Raises:
        AssertionError: says what it does not keep.
    """
    measures = built(measures)
    name = name_of(measures)
    expect(isinstance(measures, SegmentationMeasures), f"{name}: must be a SegmentationMeasures")
    for spacing in _SPACINGS:
        unknown = [each for each in measures.names(spacing) if each not in ALL_MEASURES]
        expect(not unknown, f"{name}: register_measure(...) was not called for {', '.join(unknown)}")
    for shape_name, shape in SHAPES.items():
        used = ("empty", "boxes") if shape_name == "large" else _MASKS
        masks = {each: mask for each, mask in example_masks(shape).items() if each in used}
        for predicted, prediction in masks.items():
            for true, truth in masks.items():
                for spacing in _SPACINGS:
                    case = f"{name}: prediction {predicted!r}, truth {true!r}, {shape}, spacing {spacing}"
                    _check_scores(measures, prediction, truth, spacing, case)
        _check_maps(measures, shape, masks, name)
    _check_best_scores(measures, name)
    _check_over_images(measures, name)
    expect_error(
        UserError,
        "both must have the image's size",
        lambda: measures(np.zeros((4, 5), bool), np.zeros((5, 4), bool), None),
        f"{name}: masks of different sizes must be refused",
    )


def _check_scores(
    measures: SegmentationMeasures,
    prediction: Mask,
    truth: Mask,
    spacing: tuple[float, float] | None,
    case: str,
) -> None:
    scores = measures(prediction, truth, spacing)
    names = measures.names(spacing)
    expect(tuple(scores) == names, f"{case}: gives {', '.join(scores)}, but names() says {', '.join(names)}")
    for each, value in scores.items():
        expect(type(value) is float and math.isfinite(value), f"{case}: {each} is {value!r}, no finite float")
        in_range = 0 <= value <= 1 if ALL_MEASURES[each].higher_is_better else value >= 0
        expect(in_range, f"{case}: {each} is {value}, out of its range")
    expect(json.loads(json_text(scores)) == scores, f"{case}: scores change when they are stored")
    expect(measures(prediction, truth, spacing) == scores, f"{case}: other scores the second time")


def _check_maps(
    measures: SegmentationMeasures, shape: tuple[int, int], masks: dict[str, Mask], name: str
) -> None:
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    for saliency_map in (ramp, np.zeros(shape, np.float32), np.ones(shape, np.float32)):
        for true, truth in masks.items():
            case = f"{name}: a map of {shape}, truth {true!r}"
            scores = measures.of_map(saliency_map, truth)
            finite = all(type(value) is float and math.isfinite(value) for value in scores.values())
            expect(finite, f"{case}: scores are {scores}, not finite floats")
            expect(measures.of_map(saliency_map, truth) == scores, f"{case}: other scores the second time")
            if truth.any():
                expect(scores.get("peak_distance_px", 0) >= 0, f"{case}: a distance is negative")
            else:
                expect(scores == {}, f"{case}: an image without a target has no scores of its map")


def _check_best_scores(measures: SegmentationMeasures, name: str) -> None:
    """Equal masks are perfect; what is symmetric of the usual measures stays so."""
    masks = example_masks(_SHAPE)
    for shown, mask in masks.items():
        for each, value in measures(mask, mask, None).items():
            best = 1.0 if ALL_MEASURES[each].higher_is_better else 0.0
            expect(value == best, f"{name}: {each} of equal masks ({shown!r}) is {value}, but must be {best}")
    for prediction, truth in ((masks["empty"], masks["boxes"]), (masks["boxes"], masks["empty"])):
        scores = measures(prediction, truth, None)
        expect(scores["dsc"] == 0, f"{name}: dsc is {scores['dsc']} where only one of the masks is empty")
    forth = measures(masks["noise"], masks["boxes"], _SPACINGS[1])
    back = measures(masks["boxes"], masks["noise"], _SPACINGS[1])
    for each in forth:
        if ALL_MEASURES[each].symmetric:
            equal = math.isclose(forth[each], back[each], abs_tol=1e-12)
            expect(equal, f"{name}: {each} changes when prediction and truth change places")


def _check_over_images(measures: SegmentationMeasures, name: str) -> None:
    masks = [*example_masks(_SHAPE).values()]
    total = SegmentationScores(measures)
    total.update(range(len(masks)), masks, masks[::-1], [None] * len(masks))
    summary = total.compute()
    expect(tuple(summary) == measures.names(None), f"{name}: a measure is missing from the mean over images")
    counted = all(figure["n"] == len(masks) for figure in summary.values())
    expect(counted, f"{name}: not every image counts in the mean over images")
