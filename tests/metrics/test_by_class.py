import itertools

import numpy as np
import pytest

from medsam_exp.metrics.by_class import _summarise_over_classes, breakdown
from medsam_exp.metrics.summary import summarise

CLASSES = {"a": "cyst", "b": "tumour", "c": "tumour", "d": "tumour", "e": None}
SCORES = {
    "a": {"sam/dsc": 0.9, "saliency/roc_auc": 0.7},
    "b": {"sam/dsc": 0.1, "saliency/roc_auc": 0.6},
    "c": {"sam/dsc": 0.3},
    "d": {"sam/dsc": 0.5},
    "e": {"sam/dsc": 0.0},
}


def test_each_class_is_summarised_and_the_rare_one_counts_as_much_as_the_common_one() -> None:
    found = breakdown(SCORES, CLASSES, seed=3)
    assert set(found["by_class"]) == {"cyst", "tumour"}
    assert found["by_class"]["tumour"]["sam/dsc"] == summarise([0.1, 0.3, 0.5], 3)
    assert found["by_class"]["tumour"]["saliency/roc_auc"]["n"] == 1
    macro = found["macro"]["sam/dsc"]
    assert macro["mean"] == pytest.approx((0.9 + 0.3) / 2)
    assert macro["std"] == pytest.approx(np.std([0.9, 0.3], ddof=1))
    assert (macro["n"], macro["classes"]) == (4, 2)


def test_nothing_to_break_down() -> None:
    assert breakdown(SCORES, dict.fromkeys(SCORES), 0) == {}
    assert breakdown(SCORES, dict.fromkeys(SCORES, "cyst"), 0) == {}
    assert breakdown({}, CLASSES, 0) == {}
    assert breakdown({}, {}, 0) == {}


def test_a_score_that_one_class_lacks_is_averaged_over_the_others() -> None:
    scores = {name: dict(own) for name, own in SCORES.items()}
    del scores["a"]["saliency/roc_auc"]
    macro = breakdown(scores, CLASSES, 0)["macro"]["saliency/roc_auc"]
    assert (macro["mean"], macro["classes"], macro["std"]) == (0.6, 1, 0.0)


def test_the_interval_is_that_of_all_possible_resamples() -> None:
    """Three images and two: all 27 x 4 resamples can be listed."""
    values = {"x": [0.1, 0.4, 0.6], "y": [0.2, 0.9]}
    means = [
        (np.mean(first) + np.mean(second)) / 2
        for first in itertools.product(values["x"], repeat=3)
        for second in itertools.product(values["y"], repeat=2)
    ]
    low, high = _summarise_over_classes(values, seed=1)["ci95"]  # type: ignore[misc]
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_a_class_of_one_image_leaves_no_interval() -> None:
    assert _summarise_over_classes({"x": [0.2], "y": [0.6]})["ci95"] is None
    figures = _summarise_over_classes({"x": [0.2], "y": [0.6, 0.7, 0.9]})
    assert figures["ci95"] is None
    assert figures["mean"] == pytest.approx((0.2 + 2.2 / 3) / 2)
    assert breakdown(SCORES, CLASSES)["by_class"]["cyst"]["sam/dsc"]["ci95"] is None


def test_the_order_of_classes_and_images_does_not_matter() -> None:
    many, few = np.random.default_rng(0).random(20).tolist(), [0.6, 0.1, 0.35]
    forth = _summarise_over_classes({"x": many, "y": few}, 5)
    assert _summarise_over_classes({"y": few[::-1], "x": many[::-1]}, 5) == forth
    assert _summarise_over_classes({"x": many, "y": few}, 6) != forth


@pytest.mark.parametrize("values", [{}, {"x": []}, {"x": [0.1, np.nan]}])
def test_what_cannot_be_summarised_is_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        _summarise_over_classes(values)
