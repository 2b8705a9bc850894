"""Quality of uncertainty estimates: error detection, risk-coverage curves, and calibration."""

import warnings
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from medsam_exp.metrics.clusters import (
    RESAMPLES,
    Clusters,
    draws,
    interval,
    numbered,
    patients_part,
    percentiles,
    resamples,
)

_NUMBERS_AT_ONCE = 2_000_000  # of resampled values in memory
_FEWEST = 3  # two points always lie on a line

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Coverage (n,), from 1/n to 1, and risk (n,)."""


def risk_coverage(uncertainty: ArrayLike, risk: ArrayLike) -> Curve:
    """Risk-coverage curve: mean risk of the masks kept at each coverage (Geifman & El-Yaniv 2017, arXiv:1705.08500).

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
    """Excess area under the risk-coverage curve over that of the oracle ordering by true risk.

    Arguments and errors as of `risk_coverage`. >= 0; 0 when uncertainty ranks the images as their risk does.
    """
    return max(0.0, aurc(uncertainty, risk) - aurc(risk, risk))


def correlations(
    score: ArrayLike, dsc: ArrayLike, seed: int = 0, clusters: Clusters | None = None
) -> dict[str, dict[str, Any] | None]:
    """How closely a score follows the DSC over images.

    Args:
        score: (n,) finite.
        dsc: (n,) finite.
        seed: of the bootstrap.
        clusters: (n,) each image's patient; None where patients are unknown.

    Returns:
        `pearson` (straight line) and `spearman` (order alone), each with `mean` (the coefficient itself), `std` and
        `ci95` of a percentile bootstrap over images, or over patients where some have several images
        (`metrics.clusters`; None for too few patients), `n`, and `patients` where they are known; or None where there
        is no such thing: fewer than three images, or one of the two is constant. Resamples of which one side is
        constant are left out.

    Raises:
        ValueError: unequal numbers, or some are not finite.
    """
    x, y = _finite_pair(score, dsc, fewest=0)
    members = numbered(clusters)
    keys = (y, x) if members is None else (members, y, x)
    order = np.lexsort(keys)  # so that the order of the images does not matter
    x, y = x[order], y[order]
    if len(x) < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"pearson": None, "spearman": None}
    generator = np.random.default_rng(seed)
    groups = 0 if members is None else int(members.max()) + 1
    if members is None:
        drawn = list(resamples(len(x), generator, _NUMBERS_AT_ONCE))
    else:
        drawn = _weights(members[order], generator)
    found = {}
    kinds = {"pearson": (_pearson, _as_they_are), "spearman": (_spearman, _weighted_ranks)}
    for name, (measure, turned) in kinds.items():
        if members is None:
            resampled = [measure(x[i], y[i]) for i in drawn]
        else:
            resampled = [_weighted_pearson(turned(x, often), turned(y, often), often) for often in drawn]
        figures = _with_interval(measure(x[None], y[None]), resampled, len(x), groups)
        found[name] = figures and figures | patients_part(clusters)
    return found


def _weights(members: NDArray[np.intp], generator: np.random.Generator) -> list[NDArray[Any]]:
    """How often each image is in each bootstrap sample, as often as its patient, in blocks (rows, images)."""
    rows = max(1, _NUMBERS_AT_ONCE // len(members))
    patients = np.concatenate(list(draws(int(members.max()) + 1, generator)))
    return [patients[start : start + rows][:, members] for start in range(0, RESAMPLES, rows)]


def _as_they_are(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.broadcast_to(values, weights.shape)


def _weighted_ranks(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean ranks (rows, n) of values (n,) that occur so often (rows, n)."""
    order = np.argsort(values, kind="stable")
    _, starts, place = np.unique(values[order], return_index=True, return_inverse=True)
    often = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = (np.cumsum(often, axis=1) - (often - 1) / 2)[:, place]
    return ranks


def _weighted_pearson(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(rows,) correlation of values (rows, n) that occur so often (rows, n); NaN where one is constant."""
    total = weights.sum(1, keepdims=True)
    a, b = (values - (weights * values).sum(1, keepdims=True) / total for values in (x, y))
    spread = np.sqrt((weights * a * a).sum(1) * (weights * b * b).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-12, (weights * a * b).sum(1) / spread, np.nan)


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) correlation of each of R rows; NaN where one is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.stats.ConstantInputWarning)
        warnings.simplefilter("ignore", scipy.stats.NearConstantInputWarning)
        return np.asarray(scipy.stats.pearsonr(x, y, axis=1).statistic)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return _pearson(scipy.stats.rankdata(x, axis=1), scipy.stats.rankdata(y, axis=1))


def _with_interval(
    value: NDArray[np.float64], resampled: list[NDArray[np.float64]], n: int, patients: int
) -> dict[str, Any] | None:
    defined = np.concatenate(resampled)
    defined = defined[np.isfinite(defined)]
    if not np.isfinite(value).all() or len(defined) < 2:
        return None
    return {
        "mean": float(value[0]),
        "std": float(defined.std(ddof=1)),
        "ci95": interval(defined, patients) if patients else percentiles(defined),
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
