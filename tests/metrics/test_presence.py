"""ROC area, calibration error and operating point against plain counting."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medsam_exp.metrics.presence import (
    area_under_roc,
    expected_calibration_error,
    operating_point,
    presence_figures,
    reliability,
    roc_points,
)


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    present = generator.uniform(size=80) < 0.4
    return np.round(np.clip(generator.normal(0.4 + 0.2 * present, 0.2), 0, 1), 2), present  # with ties


def test_area_is_the_share_of_pairs_in_the_right_order(scored) -> None:
    score, present = scored
    pairs = [(p > n) + 0.5 * (p == n) for p in score[present] for n in score[~present]]
    assert area_under_roc(score, present) == pytest.approx(np.mean(pairs))
    assert area_under_roc(score, present) == pytest.approx(roc_auc_score(present, score))
    false_positive, true_positive = roc_points(score, present)
    assert np.trapezoid(true_positive, false_positive) == pytest.approx(np.mean(pairs))


def test_calibration_error_by_hand() -> None:
    score, present = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    expected = (abs(0.1 - 1) + abs(1.95 - 2)) / 4
    assert expected_calibration_error(score, present) == pytest.approx(expected)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    assert reliability(score, present) == [(pytest.approx(0.05), 0.5, 2), (pytest.approx(0.975), 1.0, 2)]


def test_an_operating_point_counts_both_kinds() -> None:
    point = operating_point(np.array([0.2, 0.5, 0.7, 0.4]), np.array([False, False, True, True]), 0.5)
    assert (point.sensitivity, point.specificity) == (0.5, 0.5)


def test_figures_have_an_interval_around_them_and_do_not_depend_on_order(scored) -> None:
    score, present = scored
    figures = presence_figures(score, present, 1)
    for name in ("auc", "ece"):
        assert figures[name]["n"] == 80
        low, high = figures[name]["ci95"]
        assert 0 <= low < high <= 1
    low, high = figures["auc"]["ci95"]
    assert low < figures["auc"]["mean"] < high
    wide, _ = presence_figures(score[:20], present[:20], 1)["auc"]["ci95"]
    assert wide < low
    order = np.random.default_rng(3).permutation(80)
    again = presence_figures(score[order], present[order], 1)
    assert again == figures
