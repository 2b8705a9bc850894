"""How well a score without true masks orders settings, and what its choice is worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Scores = NDArray[np.float64]
"""(S, N): S settings on N images."""
_RESAMPLES = 2_000


@dataclass(frozen=True)
class Choice:
    """What a score is worth on some images; each a mean and its interval where it has one.

    Attributes:
        spearman: over settings, of mean score and mean DSC.
        not_empty: the same over those settings alone that leave no image without a mask.
        per_image: mean over images of the same correlation within one image, of the n where it is defined.
        regret: mean DSC of the best setting minus that of the chosen one.
        gain: mean DSC of the chosen setting minus that of the default.
        chosen: place of the chosen setting, the first of equal ones.
    """

    spearman: dict[str, Any]
    not_empty: dict[str, Any]
    per_image: dict[str, Any]
    regret: dict[str, Any]
    gain: dict[str, Any]
    chosen: int


def spearman(first: Scores, second: Scores) -> Scores:
    """Rank correlations (...) of values (..., S) over their last axis, ties at their mean rank; NaN of a constant."""
    centred = [
        ranks - ranks.mean(axis=-1, keepdims=True)
        for ranks in (rankdata(first, axis=-1), rankdata(second, axis=-1))
    ]
    product = (centred[0] * centred[1]).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        result: Scores = product / np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    return result


def judge(score: Scores, dsc: Scores, not_empty: NDArray[np.bool_], default: int, seed: int = 0) -> Choice:
    """Compare a score's choice with the best and with the default.

    Intervals are 95 % percentiles over resampled images; each resample chooses anew, and has a best of its own.

    Args:
        score: (S, N), higher is better.
        dsc: (S, N) true.
        not_empty: (S,) settings that leave no image without a mask.
        default: place of the default setting.
        seed: of the resamples.
    """
    count = score.shape[1]
    drawn = np.random.default_rng(seed).integers(count, size=(_RESAMPLES, count))
    images = np.vstack([np.arange(count), drawn])  # the first are all images as they are
    means, true = (_means(values, images) for values in (score, dsc))
    picked = means.argmax(axis=1)
    own = np.take_along_axis(true, picked[:, None], axis=1)[:, 0]
    each = spearman(score.T, dsc.T)
    known = each[np.isfinite(each)]
    return Choice(
        _figure(spearman(means, true)),
        _figure(spearman(means[:, not_empty], true[:, not_empty])),
        {"mean": float(known.mean()) if len(known) else None, "n": len(known)},
        _figure(true.max(axis=1) - own),
        _figure(own - true[:, default]),
        int(picked[0]),
    )


def _means(values: Scores, images: NDArray[np.int64]) -> Scores:
    """Mean of each setting on each row of images; equal ones stay equal, whatever the order of the sum."""
    result: Scores = np.round([values[:, row].mean(axis=1) for row in images], 9)
    return result


def _figure(values: Scores) -> dict[str, Any]:
    """The first of some values, and the interval of the others; None where it is undefined."""
    known = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]):
        return {"mean": None, "ci95": None}
    low, high = np.percentile(known, (2.5, 97.5))
    return {"mean": float(values[0]), "ci95": [float(low), float(high)]}
