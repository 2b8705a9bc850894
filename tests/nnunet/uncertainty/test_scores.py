"""Scores of one image against plain loops over pixels, and what an empty mask must not look like."""

import itertools

import numpy as np
import pytest
import torch

from medsam_exp.metrics.overlap import dice
from medsam_exp.nnunet.uncertainty.maps import EnsembleMoments
from medsam_exp.nnunet.uncertainty.scores import HIGHER_IS_SURER, expected_dsc, image_scores, uncertainties

NAMES = {
    "entropy_inside",
    "entropy_boundary",
    "mutual_information_boundary",
    "entropy_per_edge_released",
    "expected_dsc",
}


def ensemble(seed: int = 0, level: float = 0.0, slope: float = 0.8, jitter: float = 1.5, members: int = 4):
    """Probability and maps of a blurred disc that each member sees elsewhere."""
    generator = np.random.default_rng(seed)
    height, width = 24, 31
    y, x = np.mgrid[:height, :width]
    moments = EnsembleMoments()
    for _ in range(members):
        row, column = generator.normal((height / 2, width / 2), jitter)
        p = 1 / (1 + np.exp(slope * (np.hypot(y - row, x - column) - height / 4) - level))
        moments.add(torch.from_numpy(np.stack([1 - p, p])))
    maps = {name: values.numpy() for name, values in moments.maps().items()}
    return moments.mean()[1].numpy(), maps


def slow_band(mask: np.ndarray) -> np.ndarray:
    """Pixels with one of the other kind at most two pixels away."""
    band = np.zeros_like(mask)
    pixels = list(np.ndindex(mask.shape))
    for here, there in itertools.product(pixels, pixels):
        if mask[here] != mask[there] and np.hypot(here[0] - there[0], here[1] - there[1]) <= 2:
            band[here] = True
    return band


def slow_edge(mask: np.ndarray) -> int:
    """Pixels outside that have a neighbour inside, of eight."""
    padded = np.pad(mask, 1)
    return sum(not mask[y, x] and padded[y : y + 3, x : x + 3].any() for y, x in np.ndindex(mask.shape))


def test_scores_against_loops() -> None:
    probability, maps = ensemble()
    mask = probability > 0.5
    mask[0, :3] = True  # touches the image's edge
    scores = image_scores(probability, maps, mask)
    assert scores.keys() == NAMES
    band = slow_band(mask)
    assert 0 < band.sum() < mask.size
    assert scores["entropy_inside"] == pytest.approx(maps["entropy"][mask].mean(), rel=1e-5)
    assert scores["entropy_boundary"] == pytest.approx(maps["entropy"][band].mean(), rel=1e-5)
    assert scores["mutual_information_boundary"] == pytest.approx(
        maps["mutual_information"][band].mean(), rel=1e-5
    )
    bits = -(probability * np.log2(probability) + (1 - probability) * np.log2(1 - probability))
    assert scores["entropy_per_edge_released"] == pytest.approx(100 * bits.sum() / slow_edge(mask), rel=1e-4)
    expected = 2 * probability[mask].sum() / (probability.sum() + mask.sum())
    assert scores["expected_dsc"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mask_number", range(8))
def test_expected_dsc_is_close_to_the_mean_over_all_truths(mask_number: int) -> None:
    """Every possible truth of six independent pixels, weighted by its probability."""
    probability = np.array([[0.95, 0.9, 0.8], [0.7, 0.1, 0.05]])
    mask = np.random.default_rng(mask_number).permutation(probability.ravel()).reshape(2, 3) > 0.4
    mask = mask if mask_number else np.zeros((2, 3), bool)
    exact = 0.0
    for bits in itertools.product([False, True], repeat=6):
        truth = np.array(bits).reshape(2, 3)
        exact += np.where(truth, probability, 1 - probability).prod() * dice(mask, truth)
    assert expected_dsc(probability, mask) == pytest.approx(exact, abs=0.04 if mask_number else 1e-12)


def test_a_sharper_ensemble_is_surer_by_every_score() -> None:
    probability, maps = ensemble()
    moments = EnsembleMoments()
    sharp = 1 / (1 + ((1 - probability) / probability) ** 4)
    moments.add(torch.from_numpy(np.stack([1 - sharp, sharp])))
    sure = {name: values.numpy() for name, values in moments.maps().items()}
    mask = probability > 0.5
    doubtful, certain = (
        uncertainties(image_scores(p, m, mask)) for p, m in ((probability, maps), (sharp, sure))
    )
    assert all(certain[name] < doubtful[name] for name in NAMES)


def test_uncertainties_turn_confidence_around() -> None:
    assert uncertainties({"expected_dsc": 0.75, "entropy_inside": 0.1}) == {
        "expected_dsc": 0.25,
        "entropy_inside": 0.1,
    }
    assert HIGHER_IS_SURER < NAMES


@pytest.mark.parametrize("seed", range(3))
def test_a_nearly_found_lesion_is_no_surer_than_any_mask_of_its_image(seed: int) -> None:
    probability, maps = ensemble(seed, level=-4.5)  # below one half everywhere
    assert 0.2 < probability.max() < 0.5
    missed = uncertainties(image_scores(probability, maps, probability > 0.5))
    assert all(np.isfinite(list(missed.values())))
    for threshold in (0.01, 0.05, 0.1, 0.2):
        found = uncertainties(image_scores(probability, maps, probability > threshold))
        assert all(missed[name] > found[name] for name in NAMES)


def test_a_nearly_found_lesion_is_less_sure_than_a_sharp_one() -> None:
    probability, maps = ensemble(level=6.0, slope=3.0, jitter=0.2)
    found = uncertainties(image_scores(probability, maps, probability > 0.5))
    probability, maps = ensemble(level=-4.5)
    missed = uncertainties(image_scores(probability, maps, probability > 0.5))
    assert all(missed[name] > found[name] for name in NAMES)


def test_a_certain_and_empty_image_is_certain() -> None:
    zero = np.zeros((5, 6), np.float32)
    maps = {"entropy": zero, "mutual_information": zero}
    scores = image_scores(zero, maps, np.zeros((5, 6), bool))
    assert scores == {**dict.fromkeys(NAMES, 0.0), "expected_dsc": 1.0}


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((5, 6), bool),
        np.zeros((5, 6), bool),
        np.eye(5, 6, dtype=bool),
        np.arange(30).reshape(5, 6) == 0,
        np.ones((1, 1), bool),
        np.zeros((1, 1), bool),
    ],
    ids=["full", "empty", "diagonal", "one pixel", "one pixel image", "one empty pixel"],
)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.filterwarnings("error")
def test_any_mask_gives_finite_scores_in_range(mask: np.ndarray, value: float) -> None:
    p = np.full(mask.shape, value, np.float32)
    moments = EnsembleMoments()
    moments.add(torch.from_numpy(np.stack([1 - p, p])))
    scores = image_scores(p, {name: values.numpy() for name, values in moments.maps().items()}, mask)
    assert all(
        isinstance(number, float) and np.isfinite(number) and number >= 0 for number in scores.values()
    )
    assert scores["expected_dsc"] <= 1
    assert scores["entropy_inside"] <= np.log(2) + 1e-6


def test_a_larger_object_of_the_same_blur_is_not_less_sure_along_its_boundary() -> None:
    y, x = np.mgrid[:120, :120]
    scores = []
    for radius in (12, 40):
        p = 1 / (1 + np.exp(np.hypot(y - 60, x - 60) - radius))
        moments = EnsembleMoments()
        moments.add(torch.from_numpy(np.stack([1 - p, p])))
        maps = {name: values.numpy() for name, values in moments.maps().items()}
        scores.append(image_scores(p, maps, p > 0.5))
    assert scores[0]["entropy_boundary"] == pytest.approx(scores[1]["entropy_boundary"], rel=0.03)
    assert scores[0]["entropy_inside"] > 2 * scores[1]["entropy_inside"]


def test_shapes_must_agree() -> None:
    zero = np.zeros((4, 5))
    maps = {"entropy": zero, "mutual_information": zero}
    with pytest.raises(ValueError, match="mask is"):
        image_scores(zero.T, maps, zero > 0)
    with pytest.raises(ValueError, match="mask is"):
        image_scores(zero, maps, zero.T > 0)
