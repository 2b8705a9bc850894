"""Pairs of squares to be scored."""

import numpy as np

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.types import Mask

SPACING = (0.4, 0.8)
MEASURES = SegmentationMeasures(nsd_tolerance=1.0, tolerance_unit="mm")


def pair(index: int) -> tuple[Mask, Mask]:
    """A predicted and a true square; every fifth truth is empty, and one prediction."""
    rng = np.random.default_rng(index)
    prediction, truth = np.zeros((24, 30), bool), np.zeros((24, 30), bool)
    for mask in (prediction, truth):
        top, left = rng.integers(2, 12, 2)
        mask[top : top + 9, left : left + 11] = True
    if index % 5 == 0:
        truth[:] = False
    if index == 10:
        prediction[:] = False
    return prediction, truth
