"""DSC over thresholds against the loop; which threshold wins."""

import numpy as np
import pytest

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.uncertainty.threshold import best_threshold, dsc_over_thresholds

THRESHOLDS = np.arange(1, 20) / 20


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (13, 17)])
def test_one_pass_is_the_loop(dtype: type, share: float, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(size=shape).astype(dtype)
    p.ravel()[: 19 * p.size // 221] = THRESHOLDS[: 19 * p.size // 221].astype(dtype)  # exactly at a threshold
    truth = generator.uniform(size=shape) < share
    thresholds = generator.permutation(THRESHOLDS)
    found = dsc_over_thresholds(p, truth, thresholds)
    np.testing.assert_allclose(found, [dice(p > float(limit), truth) for limit in thresholds], atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.filterwarnings("error")
def test_certain_probabilities(value: float) -> None:
    p = np.full((3, 4), value)
    for truth in (np.ones((3, 4), bool), np.zeros((3, 4), bool)):
        expected = float(truth.all() == bool(value))
        assert (dsc_over_thresholds(p, truth, THRESHOLDS) == expected).all()


def test_repeated_and_no_thresholds() -> None:
    p, truth = np.array([[0.2, 0.7]]), np.array([[False, True]])
    np.testing.assert_allclose(dsc_over_thresholds(p, truth, [0.5, 0.1, 0.5]), [1, 2 / 3, 1])
    assert dsc_over_thresholds(p, truth, []).shape == (0,)


def test_the_best_mean_wins() -> None:
    assert best_threshold([[0.2, 0.9, 0.5], [0.6, 0.1, 0.5]], [0.2, 0.5, 0.8]) == pytest.approx(0.5)
    assert best_threshold([[0.9, 0.1, 0.5], [0.6, 0.1, 0.5]], [0.2, 0.5, 0.8]) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("dsc", "thresholds", "expected"),
    [
        ([[0.5] * 4], [0.1, 0.45, 0.6, 0.9], 0.45),
        ([[0.5] * 3], [0.9, 0.6, 0.4], 0.4),  # equally near: the lower
        ([[0.5, 0.5, 0.7, 0.7]], [0.5, 0.4, 0.1, 0.2], 0.2),
        ([[1.0]], [0.3], 0.3),
    ],
)
def test_ties_go_to_the_one_nearest_to_a_half(dsc: list, thresholds: list, expected: float) -> None:
    assert best_threshold(dsc, thresholds) == expected
    assert best_threshold(np.array(dsc)[:, ::-1], thresholds[::-1]) == expected


def test_the_order_of_images_does_not_break_ties() -> None:
    """Sums in another order differ in their last bits."""
    dsc = np.random.default_rng(0).uniform(size=(50, 1)).repeat(2, axis=1)
    dsc[:, 1] = np.random.default_rng(1).permutation(dsc[:, 1])
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(50)
        assert best_threshold(dsc[order], [0.3, 0.55]) == 0.55


@pytest.mark.parametrize(
    "dsc", [np.zeros((0, 2)), np.zeros((3, 0)), np.zeros((3, 3)), np.zeros(2), [[np.nan, 1]]]
)
def test_what_has_no_best_is_refused(dsc: np.ndarray) -> None:
    thresholds = [] if np.shape(dsc) == (3, 0) else [0.2, 0.5]
    with pytest.raises(ValueError, match="need finite DSC"):
        best_threshold(dsc, thresholds)
