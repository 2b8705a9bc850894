from pathlib import Path

import numpy as np
import pytest

from medsam_exp.metrics.overlap import dice, iou, precision, recall, specificity


def pixels(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere(mask)}


@pytest.mark.parametrize("seed", range(5))
def test_equal_counting_of_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((13, 29)) < rng.random(), rng.random((13, 29)) < rng.random()
    a, b = pixels(prediction), pixels(truth)
    assert dice(prediction, truth) == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
    assert iou(prediction, truth) == pytest.approx(len(a & b) / len(a | b))
    assert dice(truth, prediction) == dice(prediction, truth)


@pytest.mark.parametrize("number", range(6))
def test_equals_released_dsc(goldens: Path, number: int) -> None:
    with np.load(goldens / "metrics.npz") as stored:
        score = dice(stored[f"pred_{number}"], stored[f"gt_{number}"])
        assert score == pytest.approx(float(stored[f"dsc_{number}"]), abs=1e-12)


@pytest.mark.parametrize("measure", [dice, iou])
def test_edge_cases(measure) -> None:
    empty, full = np.zeros((4, 6), bool), np.ones((4, 6), bool)
    one = empty.copy()
    one[3, 5] = True
    assert measure(empty, empty) == measure(full, full) == measure(one, one) == 1
    assert measure(empty, one) == measure(one, empty) == measure(one, full ^ one) == 0
    assert type(measure(one, full)) is float


@pytest.mark.parametrize("seed", range(4))
def test_precision_recall_and_specificity_count_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((2, 9, 7)) < 0.4
    pairs = list(zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True))
    hit, false, missed, spared = (
        pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))
    )
    assert precision(prediction, truth) == hit / (hit + false)
    assert recall(prediction, truth) == hit / (hit + missed)
    assert specificity(prediction, truth) == spared / (spared + false)
    harmonic = 2 / (1 / precision(prediction, truth) + 1 / recall(prediction, truth))
    assert dice(prediction, truth) == pytest.approx(harmonic)


def test_precision_recall_and_specificity_of_empty_and_full_masks() -> None:
    empty, full, one = np.zeros((4, 5), bool), np.ones((4, 5), bool), np.zeros((4, 5), bool)
    one[1, 2] = True
    for measure in (precision, recall):
        assert measure(empty, empty) == measure(full, full) == 1.0
        assert measure(one, empty) == measure(empty, one) == 0.0
    assert specificity(full, full) == specificity(empty, empty) == specificity(empty, one) == 1.0
    assert specificity(one, full) == specificity(full, one) == 0.0
    assert specificity(one, empty) == 19 / 20
