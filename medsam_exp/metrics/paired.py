"""Is one method better than another on the same images? Tests, effect sizes and interval of paired scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, ttest_rel, wilcoxon

from medsam_exp.metrics.summary import summarise

FEWEST = 6
"""Pairs below which the exact Wilcoxon test cannot reach p < 0.05, whatever the scores: 2 / 2^5 = 0.0625."""


@dataclass(frozen=True)
class PairedComparison:
    """Scores of A and B on the same images; all differences are B - A.

    Attributes:
        n: pairs.
        mean_a: of A's scores.
        mean_b: of B's scores.
        difference: mean of the differences.
        ci95: [low, high] of `difference`, by percentile bootstrap over images.
        wilcoxon_p: two-sided Wilcoxon signed-rank test (images without a difference left out); None when undefined.
        t_p: two-sided paired t-test; None when undefined.
        cohen_dz: mean of the differences by their standard deviation (n - 1); None when undefined.
        rank_biserial: in [-1, 1], share of the ranks that favours B less the share that favours A (Kerby 2014);
            None when undefined.
        better: images on which B has the larger score.
        worse: images on which B has the smaller score.
        remarks: what is undefined, and why, one sentence each.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    ci95: list[float]
    wilcoxon_p: float | None
    t_p: float | None
    cohen_dz: float | None
    rank_biserial: float | None
    better: int
    worse: int
    remarks: list[str] = field(default_factory=list)


def compare_pairs(a: Sequence[float], b: Sequence[float], seed: int = 0) -> PairedComparison:
    """Compare B with A.

    Args:
        a: (n,) finite scores of A, n >= 1.
        b: (n,) finite scores of B on the same images in the same order.
        seed: of the bootstrap.

    Raises:
        ValueError: no pairs, unequal numbers of scores, or some are not finite.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or not first.size or not np.isfinite([first, second]).all():
        raise ValueError("compare_pairs needs equally many finite scores of both, and at least one pair")
    differences = second - first
    summary = summarise(differences.tolist(), seed)
    interval = summary["ci95"]
    assert isinstance(interval, list)
    t_p, cohen_dz = _by_spread(first, second, differences)
    return PairedComparison(
        n=len(differences),
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=float(differences.mean()),
        ci95=interval,
        wilcoxon_p=float(wilcoxon(second, first).pvalue) if differences.any() else None,
        t_p=t_p,
        cohen_dz=cohen_dz,
        rank_biserial=rank_biserial(differences),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        remarks=_remarks(differences),
    )


def rank_biserial(differences: NDArray[np.float64]) -> float | None:
    """Matched-pairs rank-biserial correlation (Kerby 2014): sum of the ranks for, less those against, by their total.

    Args:
        differences: (n,); zeros are left out, equal sizes share their mean rank.

    Returns:
        In [-1, 1]; 1 when every difference is positive; None when all are zero.
    """
    some = differences[differences != 0]
    if not some.size:
        return None
    ranks = rankdata(np.abs(some))
    return float((ranks[some > 0].sum() - ranks[some < 0].sum()) / ranks.sum())


def _by_spread(
    first: NDArray[np.float64], second: NDArray[np.float64], differences: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """The t-test's p and Cohen's d_z, where the differences vary."""
    if not _vary(differences):
        return None, None
    effect = float(differences.mean() / differences.std(ddof=1))
    return float(ttest_rel(second, first).pvalue), effect


def _vary(differences: NDArray[np.float64]) -> bool:
    """Whether differences differ by more than rounding."""
    return len(differences) > 1 and bool(np.ptp(differences) > 1e-12 * np.abs(differences).max())


def _remarks(differences: NDArray[np.float64]) -> list[str]:
    n, changed = len(differences), int(np.count_nonzero(differences))
    if not changed:
        return ["A and B score every image the same, so there is nothing to test"]
    remarks = []
    if changed < FEWEST:
        smallest = 2 / math.pow(2, changed)
        remarks.append(
            f"only {changed} of {n} images differ, too few for the Wilcoxon test, "
            f"whose p cannot be below {min(1.0, smallest):.2g} then"
        )
    if n == 1:
        remarks.append("one image has no spread, so there is no t-test, no d_z and no interval")
    elif not _vary(differences):
        remarks.append("all images differ by the same amount, so the t-test and d_z are undefined")
    return remarks
