"""Does uncertainty mean something: is it high where the mask is bad, and do probabilities keep their promise?"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import ConstantInputWarning, NearConstantInputWarning, pearsonr, rankdata

from medsam_exp.metrics.summary import RESAMPLES
from medsam_exp.uncertainty.reliability import ReliabilityBins, ReliabilityCurve, near_prediction, reliability

__all__ = [
    "Curve",
    "ReliabilityBins",
    "ReliabilityCurve",
    "aurc",
    "correlations",
    "excess_aurc",
    "near_prediction",
    "reliability",
    "risk_coverage",
]

_NUMBERS_AT_ONCE = 2_000_000  # of resampled values in memory
_FEWEST = 3  # two points always lie on a line

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Coverage (n,), from 1/n to 1, and risk (n,)."""


def risk_coverage(uncertainty: ArrayLike, risk: ArrayLike) -> Curve:
    """How bad the masks are that one keeps, when only the surest are kept (Geifman & El-Yaniv 2017).

    Equally uncertain images have no order: each takes the mean risk of its tie, which is the curve's expected value
    over all orders of the tie. So the order of images does not matter, and a constant uncertainty gives a flat curve.

    Args:
        uncertainty: (n,) finite, higher is less sure, n >= 1.
        risk: (n,) finite, such as 1 - DSC.

    Returns:
        Coverage k/n for k = 1 to n, and the mean risk of the k surest images.

    Raises:
        ValueError: no images, unequal numbers, or some are not finite.
    """
    doubt, cost = _finite_pair(uncertainty, risk)
    order = np.lexsort((cost, doubt))
    _, tie, size = np.unique(doubt[order], return_inverse=True, return_counts=True)
    expected = (np.bincount(tie, cost[order]) / size)[tie]
    kept = np.arange(1, len(cost) + 1)
    return kept / len(cost), np.cumsum(expected) / kept


def aurc(uncertainty: ArrayLike, risk: ArrayLike) -> float:
    """Area under the risk-coverage curve, mean of its n risks: lower is better (Geifman et al. 2019).

    Arguments and errors as of `risk_coverage`. An uncertainty that says nothing reaches the mean risk.
    """
    return float(risk_coverage(uncertainty, risk)[1].mean())


def excess_aurc(uncertainty: ArrayLike, risk: ArrayLike) -> float:
    """How far the area lies above the smallest possible one, of images kept in the order of their true risk.

    Arguments and errors as of `risk_coverage`. >= 0; 0 when uncertainty ranks the images as their risk does.
    """
    return max(0.0, aurc(uncertainty, risk) - aurc(risk, risk))


def correlations(score: ArrayLike, dsc: ArrayLike, seed: int = 0) -> dict[str, dict[str, Any] | None]:
    """How closely a score follows the DSC over images.

    Args:
        score: (n,) finite.
        dsc: (n,) finite.
        seed: of the bootstrap.

    Returns:
        `pearson` (straight line) and `spearman` (order alone), each with `mean` (the coefficient itself), `std` and
        `ci95` of a percentile bootstrap over images, and `n`; or None where there is no such thing: fewer than
        three images, or one of the two is constant. Resamples of which one side is constant are left out.

    Raises:
        ValueError: unequal numbers, or some are not finite.
    """
    x, y = _finite_pair(score, dsc, fewest=0)
    order = np.lexsort((y, x))  # so that the order of the images does not matter
    x, y = x[order], y[order]
    if len(x) < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"pearson": None, "spearman": None}
    generator = np.random.default_rng(seed)
    rows = max(1, _NUMBERS_AT_ONCE // len(x))
    counts = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    drawn = [generator.integers(len(x), size=(count, len(x))) for count in counts]
    return {
        "pearson": _with_interval(_pearson(x[None], y[None]), [_pearson(x[i], y[i]) for i in drawn], len(x)),
        "spearman": _with_interval(
            _spearman(x[None], y[None]), [_spearman(x[i], y[i]) for i in drawn], len(x)
        ),
    }


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) correlation of each of R rows; NaN where one is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        warnings.simplefilter("ignore", NearConstantInputWarning)
        return np.asarray(pearsonr(x, y, axis=1).statistic)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return _pearson(rankdata(x, axis=1), rankdata(y, axis=1))


def _with_interval(
    value: NDArray[np.float64], resampled: list[NDArray[np.float64]], n: int
) -> dict[str, Any] | None:
    defined = np.concatenate(resampled)
    defined = defined[np.isfinite(defined)]
    if not np.isfinite(value).all() or len(defined) < 2:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return {
        "mean": float(value[0]),
        "std": float(defined.std(ddof=1)),
        "ci95": [float(low), float(high)],
        "n": n,
    }


def _finite_pair(
    a: ArrayLike, b: ArrayLike, fewest: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < fewest:
        raise ValueError(f"need one value of each for every image, but have {first.shape} and {second.shape}")
    if not np.isfinite([first, second]).all():
        raise ValueError("not all values are finite")
    return first, second
