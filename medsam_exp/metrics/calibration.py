"""Calibration of probabilities: bins of a reliability diagram, and the expected calibration error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Totals = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""(bins,) each: number of values, sum of their probabilities, number of those that are true."""


def bin_totals(probability: NDArray[np.floating[Any]], truth: NDArray[np.bool_], bins: int) -> Totals:
    """Totals over equally wide bins of [0, 1].

    Args:
        probability: (n,); one on a border belongs to the upper bin, 1 and whatever lies beyond to the last.
        truth: (n,) whether the predicted event occurred.
        bins: how many.
    """
    number = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    predicted, occurred = (
        np.bincount(number, part, minlength=bins).astype(np.float64) for part in (probability, truth)
    )
    return np.bincount(number, minlength=bins), predicted, occurred


def expected_calibration_error(totals: Totals) -> float:
    """Mean distance of predicted and observed frequency over the bins (Naeini et al. 2015, AAAI 29).

    Args:
        totals: of `bin_totals`.

    Returns:
        In [0, 1], each bin weighted by its number of values; NaN without values.
    """
    count, predicted, occurred = totals
    return float(np.abs(predicted - occurred).sum() / count.sum()) if count.any() else float("nan")
