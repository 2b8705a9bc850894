"""Bins and calibration error against torchmetrics, scikit-learn and hand counts."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import binary_calibration_error

from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins, near_prediction
from tests.nnunet.uncertainty.bins import reliability


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Overconfident probabilities and truths of 3 images."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 40, 50))
    truth = generator.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))
    return (1 / (1 + np.exp(-2.5 * logits))).astype(np.float32), truth


@pytest.mark.parametrize("bins", [1, 5, 15, 20])
def test_calibration_error_is_that_of_torchmetrics(pixels, bins: int) -> None:
    p, truth = pixels
    expected = binary_calibration_error(
        torch.from_numpy(p.ravel()).double(),
        torch.from_numpy(truth.ravel()).long(),
        n_bins=bins,
        norm="l1",
    )
    assert reliability(p, truth, bins).ece() == pytest.approx(float(expected), abs=1e-9)
    assert float(expected) > 0.003


def test_curve_is_that_of_scikit_learn(pixels) -> None:
    p, truth = pixels
    frequency, confidence = calibration_curve(truth.ravel(), p.ravel(), n_bins=15)
    curve = reliability(p, truth).curve()
    np.testing.assert_allclose(curve.frequency, frequency, atol=1e-12)
    np.testing.assert_allclose(curve.confidence, confidence, atol=1e-7)
    assert curve.count.sum() == p.size


def test_proper_scores_are_those_of_scikit_learn(pixels) -> None:
    p, truth = pixels
    found = reliability(p, truth)
    assert found.brier() == pytest.approx(brier_score_loss(truth.ravel(), p.ravel()))
    assert found.nll() == pytest.approx(log_loss(truth.ravel(), p.ravel().astype(np.float64)))


def test_image_by_image_in_any_order_is_all_at_once(pixels) -> None:
    p, truth = pixels
    whole, streamed = reliability(p, truth), ReliabilityBins(15)
    for image in (2, 0, 1):
        streamed.add(p[image], truth[image])
    for figure in ("ece", "brier", "nll"):
        assert getattr(streamed, figure)() == pytest.approx(getattr(whole, figure)(), abs=1e-12)
    np.testing.assert_array_equal(streamed.curve().count, whole.curve().count)


def test_bins_by_hand() -> None:
    found = reliability(np.array([0.0, 0.1, 0.5, 0.9, 1.0]), np.array([0, 1, 0, 1, 1], bool), bins=2)
    curve = found.curve()
    assert curve.count.tolist() == [2, 3]  # a half belongs to the upper bin, 1 to the last
    np.testing.assert_allclose(curve.confidence, [0.05, 0.8])
    np.testing.assert_allclose(curve.frequency, [0.5, 2 / 3])
    assert found.ece() == pytest.approx((2 * 0.45 + 3 * (0.8 - 2 / 3)) / 5)
    assert found.count == 5


def test_empty_bins_are_left_out() -> None:
    curve = reliability(np.full((4, 4), 0.97), np.ones((4, 4), bool)).curve()
    assert curve.count.tolist() == [16]


def test_background_hides_miscalibration(pixels) -> None:
    """The same object in a larger image: error over the image shrinks, error near the object stays."""
    p, truth = np.full((200, 200), 1e-4, np.float32), np.zeros((200, 200), bool)
    p[80:120, 80:120], truth[80:120, 90:120] = 0.95, True
    region = near_prediction(p)
    small, large = reliability(p[60:140, 60:140], truth[60:140, 60:140]), reliability(p, truth)
    assert large.ece() < 0.3 * small.ece()
    near = [
        reliability(p, truth, region=region),
        reliability(np.pad(p, 50), np.pad(truth, 50), region=np.pad(region, 50)),
    ]
    assert near[0].ece() == pytest.approx(near[1].ece())
    assert near[0].ece() > 5 * large.ece()


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.filterwarnings("error")
def test_certain_pixels(value: float) -> None:
    p = np.full((3, 4), value, np.float32)
    right, wrong = reliability(p, p > 0.5), reliability(p, p < 0.5)
    assert (right.ece(), right.brier()) == (0, 0)
    assert right.nll() == pytest.approx(0, abs=1e-6)
    assert (wrong.ece(), wrong.brier()) == (1, 1)
    assert 10 < wrong.nll() < 20


@pytest.mark.filterwarnings("error")
def test_nothing_yet() -> None:
    empty = ReliabilityBins()
    empty.add(np.zeros((3, 4)), np.zeros((3, 4), bool), np.zeros((3, 4), bool))
    assert empty.count == 0
    assert np.isnan([empty.ece(), empty.brier(), empty.nll()]).all()
    assert len(empty.curve().count) == 0


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.nan])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        reliability(np.array([0.5, bad]), np.array([True, False]))


def test_shapes_must_agree() -> None:
    for truth, region in ((np.zeros((4, 3), bool), None), (np.zeros((3, 4), bool), np.ones((4, 3), bool))):
        with pytest.raises(ValueError, match="shapes differ"):
            reliability(np.zeros((3, 4)), truth, region=region)
    with pytest.raises(ValueError, match="at least 1"):
        ReliabilityBins(0)


def test_the_region_reaches_so_far_around_what_is_possible() -> None:
    p = np.full((30, 40), 0.049)
    p[15, 10], p[15, 25] = 0.05, 0.9
    y, x = np.mgrid[:30, :40]
    expected = (np.hypot(y - 15, x - 10) <= 4) | (np.hypot(y - 15, x - 25) <= 4)
    np.testing.assert_array_equal(near_prediction(p, 4), expected)
    assert near_prediction(np.ones((3, 4))).all()


def test_an_empty_prediction_is_judged_as_a_whole() -> None:
    """So that a missed target counts: with no region at all it would be seen by nobody."""
    assert near_prediction(np.full((3, 4), 0.049)).all()


def test_bins_come_back_from_what_was_written_of_them() -> None:
    generator = np.random.default_rng(4)
    probability = np.concatenate([generator.uniform(size=500), [0.0, 1.0, 0.2, 0.4]])
    made = reliability(probability, generator.uniform(size=504) < probability, bins=15)
    curve = made.curve()
    figures = {
        "confidence": curve.confidence.tolist(),
        "frequency": curve.frequency.tolist(),
        "count": curve.count.tolist(),
        "brier": made.brier(),
        "nll": made.nll(),
    }
    restored = ReliabilityBins.restore(15, figures)
    np.testing.assert_array_equal(restored.curve().count, curve.count)
    assert (restored.ece(), restored.brier(), restored.nll()) == pytest.approx(
        (made.ece(), made.brier(), made.nll())
    )


def test_counts_come_back_whole_where_a_frequency_is_no_binary_fraction() -> None:
    """One of 49 as a float, times 49, is just below 1."""
    made = reliability(np.full(49, 0.5), np.arange(49) == 0)
    curve = made.curve()
    figures = {name: getattr(curve, name).tolist() for name in ("confidence", "frequency", "count")}
    restored = ReliabilityBins.restore(15, figures | {"brier": made.brier(), "nll": made.nll()})
    assert restored.curve().frequency == 1 / 49
    assert restored.ece() == pytest.approx(made.ece())
