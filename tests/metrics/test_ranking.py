import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.plain_host import plain_average_precision, plain_roc_auc
from medsam_exp.metrics.saliency_maps import average_precision, roc_auc


def scene(seed: int, levels: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A map of few values, so that many are equal, and a target that it half knows."""
    rng = np.random.default_rng(seed)
    truth = rng.random((7, 9)) < 0.3
    truth[0, 0], truth[0, 1] = True, False
    values = rng.integers(0, levels, truth.shape) / levels + 0.3 * truth
    return values.astype(np.float32), truth


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_auc_counts_pairs_of_pixels(seed: int, levels: int) -> None:
    values, truth = scene(seed, levels)
    won = [
        1.0 if inside > outside else 0.5 if inside == outside else 0.0
        for inside in values[truth]
        for outside in values[~truth]
    ]
    assert roc_auc(values, truth) == pytest.approx(np.mean(won), abs=1e-9)


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_walks_down_the_thresholds(seed: int, levels: int) -> None:
    values, truth = scene(seed, levels)
    total, found_before = 0.0, 0
    for threshold in sorted(set(values.ravel().tolist()), reverse=True):
        marked = values >= threshold
        found = int((marked & truth).sum())
        total += found / marked.sum() * (found - found_before)
        found_before = found
    assert average_precision(values, truth) == pytest.approx(total / truth.sum(), abs=1e-9)


@pytest.mark.parametrize("levels", [1, 2, 5, 200, 10**7])
def test_same_bits_as_scikit_learn(levels: int) -> None:
    """Its sums run over as many terms in the same order; so results stay when the one replaces the other."""
    rng = np.random.default_rng(levels)
    for shape in ((1, 2), (7, 9), (90, 61)):
        for share in (0.02, 0.4, 0.9):
            truth = rng.random(shape) < share
            truth[0, 0], truth[-1, -1] = True, False
            noise = rng.random(shape) + 0.4 * truth
            values = (np.floor(noise * levels) / levels).astype(np.float32)
            assert roc_auc(values, truth) == plain_roc_auc(values, truth)
            assert average_precision(values, truth) == plain_average_precision(values, truth)
            assert average_precision(values.T, truth.T) == average_precision(values, truth)


def test_only_the_order_of_the_values_matters() -> None:
    values, truth = scene(3, 50)
    for measure in (roc_auc, average_precision):
        assert measure(values**2, truth) == pytest.approx(measure(values, truth), abs=1e-9)
    assert roc_auc(2 - values, truth) == pytest.approx(1 - roc_auc(values, truth), abs=1e-6)


def test_perfect_and_constant_maps() -> None:
    _, truth = scene(1, 3)
    perfect, constant = truth.astype(np.float32), np.zeros(truth.shape, np.float32)
    assert roc_auc(perfect, truth) == average_precision(perfect, truth) == 1.0
    assert roc_auc(constant, truth) == 0.5
    assert average_precision(constant, truth) == pytest.approx(truth.mean())


@pytest.mark.parametrize("bad", [-1e-3, np.nan, np.inf])
def test_values_that_are_no_saliency_are_refused(bad: float) -> None:
    values, truth = scene(0, 5)
    values[2, 3] = bad
    for measure in (roc_auc, average_precision):
        with pytest.raises(ValueError, match="finite saliency of at least 0"):
            measure(values, truth)


def test_nothing_to_tell_apart_is_refused() -> None:
    values, truth = scene(0, 5)
    with pytest.raises(ValueError, match="inside and outside"):
        roc_auc(values, np.zeros_like(truth))
    with pytest.raises(ValueError, match="inside and outside"):
        roc_auc(values, np.ones_like(truth))
    with pytest.raises(ValueError, match="empty"):
        average_precision(values, np.zeros_like(truth))
    assert average_precision(values, np.ones_like(truth)) == 1.0
