"""From which probability on a pixel belongs to the mask: DSC at many thresholds, and the best of them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medsam_exp.types import Mask

_TIE = 1e-9  # differences of a mean DSC that are only rounding


def dsc_over_thresholds(
    foreground_probability: NDArray[np.floating[Any]], truth: Mask, thresholds: ArrayLike
) -> NDArray[np.float64]:
    """DSC of one image's mask at each threshold; pixels above it are foreground.

    One pass over the pixels, however many thresholds there are. Thresholds are compared in the probability's
    own precision, as `probability > threshold` with a Python number does.

    Args:
        foreground_probability: (H, W) in [0, 1].
        truth: (H, W) bool.
        thresholds: (n_thresholds,), in any order.

    Returns:
        (n_thresholds,) in [0, 1]; 1 where mask and truth are both empty.
    """
    probability = np.asarray(foreground_probability)
    limits = np.asarray(thresholds).astype(probability.dtype)
    order = np.argsort(limits)
    in_question = probability > limits.min(initial=np.inf)  # a small share of most images
    passed = np.searchsorted(limits[order], probability[in_question], side="left")  # thresholds it exceeds
    area, overlap = (
        _at_least(np.bincount(pixels, minlength=len(limits) + 1))
        for pixels in (passed, passed[np.asarray(truth, bool)[in_question]])
    )
    total = area + np.count_nonzero(truth)
    dice = np.empty(len(limits))
    dice[order] = np.divide(2.0 * overlap, total, out=np.ones(len(limits)), where=total > 0)
    return dice


def best_threshold(dsc_by_threshold: ArrayLike, thresholds: ArrayLike) -> float:
    """The threshold with the highest mean DSC over images.

    Args:
        dsc_by_threshold: (n_images, n_thresholds), n_images >= 1, rows of `dsc_over_thresholds`.
        thresholds: (n_thresholds,).

    Returns:
        Of equally good ones that nearest to 0.5, the network's own; of two equally near ones the lower, which
        misses less.

    Raises:
        ValueError: there are no images or no thresholds, their numbers differ, or a DSC is not finite.
    """
    dsc, limits = np.asarray(dsc_by_threshold, np.float64), np.asarray(thresholds, np.float64)
    if dsc.ndim != 2 or not dsc.size or dsc.shape[1:] != limits.shape or not np.isfinite(dsc).all():
        raise ValueError(f"need finite DSC of images by threshold, but have {dsc.shape} and {limits.shape}")
    mean = dsc.mean(axis=0)
    best = limits[mean >= mean.max() - _TIE]
    return float(min(best, key=lambda limit: (round(abs(limit - 0.5), 9), limit)))


def _at_least(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how many pixels exceed at least 1 to n thresholds, of (n + 1,) counts that exceed exactly 0 to n."""
    return np.cumsum(counts[::-1])[::-1][1:]
