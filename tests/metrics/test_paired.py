import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import ttest_rel, wilcoxon

from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.metrics.summary import summarise

ROUGH = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5), (0.6, 0.4, 0.8, 0.9, 0.5, 1.0)
"""Differences 0.1, -0.1, 0.3, 0.4, 0, 0.5: ranks of their sizes 1.5, 1.5, 3, 4, none, 5."""


def test_values_worked_out_by_hand() -> None:
    found = compare_pairs(*ROUGH)
    assert (found.n, found.better, found.worse) == (6, 4, 1)
    assert found.mean_a == 0.5
    assert found.difference == pytest.approx(1.2 / 6)
    assert found.rank_biserial == pytest.approx((1.5 + 3 + 4 + 5 - 1.5) / 15)
    squares = [(d - 0.2) ** 2 for d in (0.1, -0.1, 0.3, 0.4, 0.0, 0.5)]
    deviation = math.sqrt(sum(squares) / 5)
    assert found.cohen_dz == pytest.approx(0.2 / deviation)
    t = 0.2 / (deviation / math.sqrt(6))
    assert t == pytest.approx(ttest_rel(ROUGH[1], ROUGH[0]).statistic)
    assert found.t_p == pytest.approx(ttest_rel(ROUGH[1], ROUGH[0]).pvalue)
    assert found.remarks == [
        "only 5 of 6 images differ, too few for the Wilcoxon test, whose p cannot be below 0.062 then"
    ]


def test_the_exact_wilcoxon_test_counts_all_signs() -> None:
    """Without ties, p is the share of the 2^8 sign patterns at least as lopsided as the one seen."""
    differences = np.array([0.11, -0.02, 0.31, 0.43, 0.07, 0.53, -0.2, 0.61])
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    seen = abs((np.sign(differences) * ranks).sum())
    sums = [abs(np.dot(signs, ranks)) for signs in product((-1, 1), repeat=8)]
    found = compare_pairs([0.0] * 8, differences.tolist())
    assert found.wilcoxon_p == pytest.approx(np.mean([total >= seen for total in sums]))
    assert found.rank_biserial == pytest.approx((np.sign(differences) * ranks).sum() / 36)
    assert found.remarks == []


@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy_on_random_scores(seed: int) -> None:
    a, b = np.random.default_rng(seed).random((2, 40))
    found = compare_pairs(a.tolist(), b.tolist(), seed=2)
    assert found.wilcoxon_p == pytest.approx(wilcoxon(a, b).pvalue)
    assert found.t_p == pytest.approx(ttest_rel(a, b).pvalue)
    assert found.ci95 == summarise((b - a).tolist(), 2)["ci95"]
    assert found.ci95 is not None
    assert found.ci95[0] < found.difference < found.ci95[1]


def test_swapping_the_runs_turns_every_sign() -> None:
    a, b = np.random.default_rng(3).random((2, 25)).tolist()
    forth, back = compare_pairs(a, b), compare_pairs(b, a)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.rank_biserial == pytest.approx(-(back.rank_biserial or 0))
    assert forth.cohen_dz == pytest.approx(-(back.cohen_dz or 0))
    assert (forth.wilcoxon_p, forth.t_p) == pytest.approx((back.wilcoxon_p, back.t_p))
    assert (forth.better, forth.worse) == (back.worse, back.better)


@pytest.mark.filterwarnings("error")
def test_equal_scores_have_nothing_to_test() -> None:
    found = compare_pairs([0.3, 0.4, 0.7], [0.3, 0.4, 0.7])
    assert (found.difference, found.ci95) == (0.0, None)
    assert found.wilcoxon_p is found.t_p is found.cohen_dz is found.rank_biserial is None
    assert found.remarks == ["A and B score every image the same, so there is nothing to test"]


@pytest.mark.filterwarnings("error")
def test_the_same_difference_everywhere_has_no_t_test() -> None:
    scores = np.linspace(0, 0.8, 9)
    found = compare_pairs(scores.tolist(), (scores + 0.1).tolist())
    assert found.t_p is found.cohen_dz is None
    assert found.rank_biserial == 1.0
    assert found.wilcoxon_p is not None
    assert found.wilcoxon_p < 0.05
    assert found.remarks == [
        "all images differ by the same amount, so interval, t-test and d_z are undefined"
    ]


@pytest.mark.filterwarnings("error")
def test_one_image() -> None:
    found = compare_pairs([0.3], [0.5])
    assert found.wilcoxon_p == 1.0
    assert found.t_p is found.cohen_dz is None
    assert found.ci95 is None
    assert "p cannot be below 1 then" in found.remarks[0]
    assert found.remarks[1].startswith("one image has no spread")


@pytest.mark.parametrize(("a", "b"), [([], []), ([0.1], [0.1, 0.2]), ([0.1, math.nan], [0.2, 0.3])])
def test_what_cannot_be_paired_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="equally many finite scores"):
        compare_pairs(a, b)
