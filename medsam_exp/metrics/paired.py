"""Is one method better than another on the same images? Tests, effect sizes and interval of paired scores.

Images of one patient are not independent. Where several images share a patient, interval and tests go by patient;
where each has its own, or patients are unknown, they go by image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.metrics.clusters import FEWEST, Clusters, numbered, totals, varies
from medsam_exp.metrics.summary import summarise

_EXACT = 20  # patients with a difference, up to which all 2^20 choices of signs are tried


@dataclass(frozen=True)
class PairedComparison:
    """Scores of A and B on the same images; all differences are B - A.

    Attributes:
        n: pairs.
        mean_a: of A's scores.
        mean_b: of B's scores.
        difference: mean of the differences over images.
        ci95: [low, high] of `difference`, as of `summarise`; None when undefined.
        wilcoxon_p: two-sided Wilcoxon signed-rank test (images without a difference left out), see `signed_rank_p`;
            None when undefined.
        t_p: two-sided paired t-test, of the patients' mean differences where it goes by patient; None when undefined.
        cohen_dz: mean of the differences by their standard deviation (n - 1), over images; None when undefined.
        rank_biserial: in [-1, 1], share of the ranks that favours B less the share that favours A (Kerby 2014);
            None when undefined; over images.
        better: images on which B has the larger score.
        worse: images on which B has the smaller score.
        remarks: what is undefined, and why, one sentence each.
        patients: their number; None where they are unknown.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    ci95: list[float] | None
    wilcoxon_p: float | None
    t_p: float | None
    cohen_dz: float | None
    rank_biserial: float | None
    better: int
    worse: int
    remarks: list[str] = field(default_factory=list)
    patients: int | None = None


def compare_pairs(
    a: Sequence[float], b: Sequence[float], seed: int = 0, clusters: Clusters | None = None
) -> PairedComparison:
    """Compare B with A.

    Args:
        a: (n,) finite scores of A, n >= 1.
        b: (n,) finite scores of B on the same images in the same order.
        seed: of the bootstrap.
        clusters: (n,) each image's patient; None where patients are unknown.

    Raises:
        ValueError: no pairs, unequal numbers of scores, or some are not finite.

    Example:
        >>> from medsam_exp import compare_pairs
        >>> comparison = compare_pairs([0.6, 0.7, 0.5], [0.7, 0.9, 0.6])
        >>> round(comparison.difference, 3), comparison.better
        (0.133, 3)
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or not first.size or not np.isfinite([first, second]).all():
        raise ValueError("compare_pairs needs equally many finite scores of both, and at least one pair")
    differences, members = second - first, numbered(clusters)
    summary = summarise(differences.tolist(), seed, clusters)
    if members is None:
        wilcoxon_p = float(scipy.stats.wilcoxon(second, first).pvalue) if differences.any() else None
        t_p = float(scipy.stats.ttest_rel(second, first).pvalue) if varies(differences) else None
    else:
        wilcoxon_p, t_p = signed_rank_p(differences, members), _t_by_patient(differences, members)
    return PairedComparison(
        n=len(differences),
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        difference=float(differences.mean()),
        ci95=summary["ci95"],
        wilcoxon_p=wilcoxon_p,
        t_p=t_p,
        cohen_dz=float(differences.mean() / differences.std(ddof=1)) if varies(differences) else None,
        rank_biserial=rank_biserial(differences),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        remarks=_remarks(differences, members),
        patients=summary.get("patients"),
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
    ranks = scipy.stats.rankdata(np.abs(some))
    return float((ranks[some > 0].sum() - ranks[some < 0].sum()) / ranks.sum())


def signed_rank_p(differences: NDArray[np.float64], members: NDArray[np.intp]) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test by patient.

    The statistic of Rosner, Glynn and Lee (2006, DOI 10.1111/j.1541-0420.2005.00389.x): the signed ranks of all images,
    added up. Under the null hypothesis all differences of a patient may change their signs together. Up to 20 patients
    every choice of signs is tried (exact); beyond, the sum counts as normal with the same variance, as they propose.
    With one image a patient this is Wilcoxon's own test.

    Args:
        differences: (n,); images without a difference are left out.
        members: (n,) number of each image's patient.

    Returns:
        p; None where no image differs.
    """
    some = differences != 0
    if not some.any():
        return None
    ranks = 2 * scipy.stats.rankdata(np.abs(differences[some]))  # whole numbers, so that sums are exact
    by_patient, _ = totals(np.sign(differences[some]) * ranks, members[some], int(members.max()) + 1)
    by_patient = by_patient[by_patient != 0]
    found = abs(by_patient.sum())
    if len(by_patient) > _EXACT:
        return float(2 * scipy.stats.norm.sf(found / np.sqrt((by_patient**2).sum())))
    sums = np.zeros(1)
    for own in by_patient:
        sums = np.concatenate([sums + own, sums - own])
    return float(np.mean(np.abs(sums) >= found))


def _t_by_patient(differences: NDArray[np.float64], members: NDArray[np.intp]) -> float | None:
    sums, sizes = totals(differences, members, int(members.max()) + 1)
    return float(scipy.stats.ttest_1samp(sums / sizes, 0.0).pvalue) if varies(sums / sizes) else None


def _remarks(differences: NDArray[np.float64], members: NDArray[np.intp] | None) -> list[str]:
    """What is undefined or says little, by image or by patient."""
    unit, by = ("images", "") if members is None else ("patients", " by patient")
    everyone = np.arange(len(differences)) if members is None else members
    differing, count = len(np.unique(everyone[differences != 0])), int(everyone.max()) + 1
    if not differing:
        return ["A and B score every image the same, so there is nothing to test"]
    remarks = []
    if differing < FEWEST:
        remarks.append(
            f"only {differing} of {count} {unit} differ, too few for the Wilcoxon test{by}, "
            f"whose p cannot be below {2 / 2**differing:.2g} then"
        )
    if members is not None and count < FEWEST:
        remarks.append(f"{count} patients are too few for a 95 % interval, which takes {FEWEST}")
    if members is None and count == 1:
        remarks.append("one image has no spread, so there is no t-test, no d_z and no interval")
    elif members is None and not varies(differences):
        remarks.append("all images differ by the same amount, so interval, t-test and d_z are undefined")
    return remarks


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979), which holds whatever the tests have in common.

    Args:
        p_values: (m,) in [0, 1].

    Returns:
        (m,) corrected p-values in the same order: the k-th smallest times m - k + 1, at most 1, and never below the
        correction of a smaller one.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
