"""Risk, coverage and correlation against simulation, scipy and hand counts."""

import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from medsam_exp.metrics.measures import score_cell
from medsam_exp.nnunet.uncertainty.quality import aurc, correlations, excess_aurc, risk_coverage


def test_curve_by_hand() -> None:
    coverage, risk = risk_coverage([0.3, 0.1, 0.2], [0.9, 0.0, 0.3])
    np.testing.assert_allclose(coverage, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(risk, [0, 0.15, 0.4])
    assert aurc([0.3, 0.1, 0.2], [0.9, 0.0, 0.3]) == pytest.approx((0 + 0.15 + 0.4) / 3)


def test_ties_are_the_mean_over_all_their_orders() -> None:
    generator = np.random.default_rng(0)
    uncertainty, risk = generator.integers(4, size=25).astype(float), generator.uniform(size=25)
    drawn = []
    for _ in range(4000):  # break the ties by chance
        order = np.lexsort((generator.uniform(size=25), uncertainty))
        drawn.append(np.cumsum(risk[order]) / np.arange(1, 26))
    np.testing.assert_allclose(risk_coverage(uncertainty, risk)[1], np.mean(drawn, axis=0), atol=0.02)


def test_the_order_of_images_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    uncertainty, risk = generator.integers(4, size=40).astype(float), generator.uniform(size=40)
    order = generator.permutation(40)
    there, back = risk_coverage(uncertainty, risk), risk_coverage(uncertainty[order], risk[order])
    np.testing.assert_array_equal(there, back)
    assert correlations(uncertainty, risk, 3) == correlations(uncertainty[order], risk[order], 3)


def test_only_the_order_of_uncertainty_counts() -> None:
    generator = np.random.default_rng(0)
    uncertainty, risk = generator.uniform(size=30), generator.uniform(size=30)
    assert aurc(np.exp(5 * uncertainty) - 7, risk) == aurc(uncertainty, risk)


def test_the_best_and_the_worst_order() -> None:
    risk = np.random.default_rng(0).uniform(size=12)
    assert excess_aurc(risk, risk) == 0
    assert excess_aurc(risk**3, risk) == 0
    drawn = [excess_aurc(np.random.default_rng(i).permutation(12), risk) for i in range(50)]
    assert 0 < min(drawn) <= max(drawn) <= excess_aurc(-risk, risk)


def test_a_constant_uncertainty_keeps_the_mean_risk() -> None:
    risk = np.array([0.1, 0.9, 0.2])
    np.testing.assert_allclose(risk_coverage(np.full(3, 0.7), risk)[1], np.full(3, 0.4))
    assert excess_aurc(np.zeros(3), np.full(3, 0.5)) == 0


def test_one_image() -> None:
    coverage, risk = risk_coverage([0.3], [0.6])
    assert (coverage.tolist(), risk.tolist()) == ([1.0], [0.6])
    assert aurc([0.3], [0.6]) == 0.6
    assert excess_aurc([0.3], [0.6]) == 0


@pytest.mark.parametrize(
    ("uncertainty", "risk"), [([], []), ([1.0], [1.0, 2.0]), ([np.nan, 1], [0, 1]), ([0, 1], [np.inf, 1])]
)
def test_what_has_no_curve_is_refused(uncertainty: list[float], risk: list[float]) -> None:
    with pytest.raises(ValueError, match="value"):
        risk_coverage(uncertainty, risk)


def test_correlations_are_scipys_with_an_interval() -> None:
    generator = np.random.default_rng(0)
    score = generator.normal(size=60).round(1)  # with ties
    dsc = np.exp(-score) + generator.normal(size=60) / 2
    found = correlations(score, dsc, seed=1)
    for name, reference in (("pearson", pearsonr), ("spearman", spearmanr)):
        figures = found[name]
        assert figures["mean"] == pytest.approx(reference(score, dsc).statistic)
        low, high = figures["ci95"]
        assert -1 <= low < figures["mean"] < high <= 1
        assert figures["n"] == 60
        cell = score_cell(figures)
        assert cell.n == "60"
        assert cell.value.startswith(f"{figures['mean']:.3f} ± ")
    assert correlations(score, dsc, seed=1) == found != correlations(score, dsc, seed=2)


def test_the_interval_is_a_percentile_bootstrap() -> None:
    generator = np.random.default_rng(0)
    score = np.sort(generator.normal(size=25))
    dsc = score + generator.normal(size=25)
    found = correlations(score, dsc, seed=5)
    generator = np.random.default_rng(5)
    drawn = [generator.integers(25, size=25) for _ in range(2000)]
    for name, reference in (("pearson", pearsonr), ("spearman", spearmanr)):
        slow = [reference(score[i], dsc[i]).statistic for i in drawn]
        np.testing.assert_allclose(found[name]["ci95"], np.percentile(slow, [2.5, 97.5]))
        assert found[name]["std"] == pytest.approx(np.std(slow, ddof=1))


@pytest.mark.parametrize(
    ("score", "dsc"),
    [
        ([], []),
        ([0.1], [0.5]),
        ([0.1, 0.2], [0.5, 0.6]),
        ([0.3] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([0.1, 0.2, 0.3], [1.0, 1.0, 1.0]),
    ],
)
def test_no_correlation_is_said_without_warning(score: list[float], dsc: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = correlations(score, dsc)
    assert found == {"pearson": None, "spearman": None}
    assert score_cell(found["pearson"]).value == "–"


@pytest.mark.parametrize("n", [3, 4, 5])
def test_few_images_give_figures_without_warning(n: int) -> None:
    generator = np.random.default_rng(n)
    for score in (generator.uniform(size=n), np.array([0.0] * (n - 1) + [1.0])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = correlations(score, generator.uniform(size=n))
        for figures in found.values():
            assert figures is not None
            assert np.isfinite([figures["mean"], figures["std"], *figures["ci95"]]).all()


def test_memory_is_bounded_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    score, dsc = generator.uniform(size=20), generator.uniform(size=20)
    whole = correlations(score, dsc)
    monkeypatch.setattr("medsam_exp.nnunet.uncertainty.quality._NUMBERS_AT_ONCE", 1000)
    for name, figures in correlations(score, dsc).items():
        np.testing.assert_allclose(figures["ci95"], whole[name]["ci95"])
