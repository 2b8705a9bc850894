"""Temperature against scikit-learn and a grid; what scaling must and must not change."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from benchmarks.sim_calibration import draw_scan, measured, near_truth
from medsam_exp.nnunet.uncertainty.reliability import near_prediction
from medsam_exp.nnunet.uncertainty.temperature import (
    BOUNDS,
    apply_temperature,
    fit_temperature,
    temperature_interval,
)
from tests.nnunet.uncertainty.bins import reliability


class AsLogit(ClassifierMixin, BaseEstimator):
    """Takes its only feature for the logit."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "AsLogit":
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x[:, 0] > 0).astype(int)

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]


def overconfident(temperature: float, n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(size=n) - 0.5
    return expit(temperature * true_logits), generator.uniform(size=n) < expit(true_logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_scikit_learn(temperature: float) -> None:
    p, truth = overconfident(temperature)
    found = fit_temperature(p, truth)
    assert found == pytest.approx(temperature, rel=0.1)
    x = logit(p)[:, None]
    scaler = CalibratedClassifierCV(FrozenEstimator(AsLogit().fit(x, truth)), method="temperature")
    expected = scaler.fit(x, truth.astype(int)).predict_proba(x)[:, 1]
    np.testing.assert_allclose(apply_temperature(p, found), expected, atol=1e-5)


def test_no_temperature_of_a_grid_is_better() -> None:
    p, truth = overconfident(2.0)
    found = fit_temperature(p, truth)
    best = log_loss(truth, apply_temperature(p, found))
    for other in found * np.array([0.2, 0.7, 0.95, 0.999, 1.001, 1.05, 1.5, 5]):
        assert log_loss(truth, apply_temperature(p, other)) > best


def test_scaling_mends_calibration_on_other_pixels() -> None:
    found = fit_temperature(*overconfident(4.0))
    p, truth = overconfident(4.0, seed=1)
    before, after = reliability(p, truth), reliability(apply_temperature(p, found), truth)
    assert after.ece() < 0.25 * before.ece()
    assert after.nll() < before.nll()
    assert after.brier() < before.brier()


def test_the_order_of_pixels_does_not_matter() -> None:
    p, truth = overconfident(2.0)
    order = np.random.default_rng(0).permutation(len(p))
    assert fit_temperature(p[order], truth[order]) == pytest.approx(fit_temperature(p, truth), rel=1e-6)


@pytest.mark.parametrize(
    ("p", "truth", "expected"),
    [
        ([0.9, 0.1], [True, False], BOUNDS[0]),  # never wrong: sharpen as far as allowed
        ([0.9, 0.1], [False, True], BOUNDS[1]),  # always wrong: say as little as allowed
        ([0.0, 1.0], [False, True], None),  # certain and right
        ([0.0, 1.0], [True, False], BOUNDS[1]),  # certain and wrong
        ([0.5, 0.5], [True, False], 1.0),
        ([0.5], [True], 1.0),
        ([0.3], [True], BOUNDS[1]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_the_ends(p: list[float], truth: list[bool], expected: float | None) -> None:
    found = fit_temperature(p, truth)
    assert BOUNDS[0] <= found <= BOUNDS[1]
    if expected is not None:
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("p", "truth"), [([], []), ([0.1], [True, False]), ([1.5], [True]), ([np.nan], [True])]
)
def test_what_cannot_be_fitted_is_refused(p: list[float], truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        fit_temperature(p, truth)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 7.5])
def test_two_classes_are_the_special_case(temperature: float) -> None:
    foreground = np.random.default_rng(0).uniform(size=(6, 7))
    both = apply_temperature(np.stack([1 - foreground, foreground]), temperature)
    np.testing.assert_allclose(both[1], apply_temperature(foreground, temperature), atol=1e-12)
    np.testing.assert_allclose(both.sum(axis=0), 1, atol=1e-12)


def test_many_classes_by_powers() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 6)).transpose(2, 0, 1)
    scaled = apply_temperature(p, 2.5)
    powers = p ** (1 / 2.5)
    np.testing.assert_allclose(scaled, powers / powers.sum(axis=0), atol=1e-12)
    np.testing.assert_array_equal(scaled.argmax(axis=0), p.argmax(axis=0))
    np.testing.assert_allclose(apply_temperature(p, 1.0), p, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_certain_pixels_stay_certain() -> None:
    p = np.array([[0.0, 1.0, 0.5]], np.float32)
    np.testing.assert_array_equal(apply_temperature(p, 3.0), p)
    np.testing.assert_array_equal(apply_temperature(np.stack([1 - p, p]), 3.0), np.stack([1 - p, p]))
    assert apply_temperature(p, 3.0).dtype == np.float32
    assert apply_temperature(np.array([0, 1]), 3.0).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_only_a_temperature_scales(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        apply_temperature(np.array([0.5]), temperature)


@pytest.mark.parametrize(("correlation", "images", "seed"), [(4, 20, 3), (10, 30, 4), (20, 40, 4)])
def test_a_calibrated_network_is_found_calibrated(correlation: int, images: int, seed: int) -> None:
    """P(target | p) = p, with errors that go together over so many pixels; over other draws see the benchmark."""
    generator = np.random.default_rng([correlation, seed])
    scans = [draw_scan(generator, correlation) for _ in range(images)]
    temperature, error, interval = measured(scans, lambda p, truth: near_prediction(p))
    assert 0.95 <= temperature <= 1.05
    assert error < 0.012
    assert interval is not None
    assert interval[0] < 1 < interval[1]
    biased, biased_error, _ = measured(scans, near_truth)
    assert biased > temperature + 0.05
    assert biased_error > 1.4 * error
    too_sure = [(apply_temperature(p, 0.5), truth) for p, truth in scans]
    found, sure_error, around = measured(too_sure, lambda p, truth: near_prediction(p))
    assert 1.85 < found < 2.15
    assert sure_error > 3 * error
    assert around is not None
    assert around[0] > 1


def test_the_interval_is_that_of_images_and_not_of_pixels() -> None:
    """Each pixel ten times says no more; each image four times halves the interval."""
    images = [overconfident(2.0, n=200, seed=seed) for seed in range(12)]
    temperature = fit_temperature(*map(np.concatenate, zip(*images, strict=True)))

    def width(of: list) -> float:
        low, high = temperature_interval(of, temperature)
        assert low < temperature < high
        return np.log(high / low)

    ten_times = [(np.tile(p, 10), np.tile(truth, 10)) for p, truth in images]
    assert width(ten_times) == pytest.approx(width(images))
    assert width(images * 4) == pytest.approx(width(images) / 2, rel=0.05)


def test_the_interval_is_that_of_resampled_images() -> None:
    images = [overconfident(2.0, n=60, seed=seed) for seed in range(40)]
    temperature = fit_temperature(*map(np.concatenate, zip(*images, strict=True)))
    generator = np.random.default_rng(0)
    drawn = [[images[i] for i in generator.integers(len(images), size=len(images))] for _ in range(150)]
    resampled = [fit_temperature(*map(np.concatenate, zip(*each, strict=True))) for each in drawn]
    low, high = temperature_interval(images, temperature)
    assert np.log([low, high]) == pytest.approx(np.log(np.percentile(resampled, [2.5, 97.5])), abs=0.05)


@pytest.mark.filterwarnings("error")
def test_no_interval_where_nothing_tells() -> None:
    sure = [(np.array([0.9, 0.1]), np.array([True, False]))] * 3
    assert temperature_interval(sure, BOUNDS[0]) is None
    assert temperature_interval([overconfident(1.0)], 1.0) is None
    assert temperature_interval([(np.array([0.5]), np.array([True]))] * 2, 1.0) is None
