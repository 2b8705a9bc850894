"""Reliability bins of one image, or of the pixels of many."""

from typing import Any

import numpy as np

from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins


def reliability(
    probability: Any, truth: np.ndarray, bins: int = 15, region: np.ndarray | None = None
) -> ReliabilityBins:
    found = ReliabilityBins(bins)
    found.add(probability, truth, region)
    return found
