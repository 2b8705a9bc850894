"""Each fusion against an independent recomputation, pixel by pixel."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor

from medsam_exp.sam.fusion.average import AverageMask
from medsam_exp.sam.fusion.best_iou import BestIou
from medsam_exp.sam.fusion.iou_weighted import IouWeightedMask
from medsam_exp.sam.fusion.map_agreement import MapAgreement
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.fusion.staple import StapleMask
from medsam_exp.types import UserError

IOU = torch.tensor([0.5, 0.9, 0.2])
NEEDS_SIMPLEITK = pytest.mark.skipif(
    find_spec("SimpleITK") is None, reason="SimpleITK is not installed (make setup)"
)


def proposals(seed: int, size: tuple[int, int] = (13, 17)) -> Tensor:
    return 3 * torch.randn((3, *size), generator=torch.Generator().manual_seed(seed))


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def weighted_mean(logits: Tensor, weights: list[float]) -> np.ndarray:
    """(H, W) weighted mean probability, pixel by pixel."""
    values = logits.double().numpy()
    return np.array(
        [
            [
                sum(w * probability(values[m, y, x]) for m, w in enumerate(weights)) / sum(weights)
                for x in range(values.shape[2])
            ]
            for y in range(values.shape[1])
        ]
    )


def staple(raters: np.ndarray) -> np.ndarray:
    """(H, W) probability of the truth by expectation maximisation (Warfield 2004, eq. 14-20), for (M, H, W) bool."""
    count, *size = raters.shape
    flat = raters.reshape(count, -1)
    prior = flat.mean()
    sensitivity, specificity = np.full(count, 0.99999), np.full(count, 0.99999)
    truth = np.zeros(flat.shape[1])
    for _ in range(2000):
        inside = prior * np.prod(np.where(flat, sensitivity[:, None], 1 - sensitivity[:, None]), 0)
        outside = (1 - prior) * np.prod(np.where(flat, 1 - specificity[:, None], specificity[:, None]), 0)
        truth = inside / (inside + outside)
        sensitivity = np.array([truth[rater].sum() for rater in flat]) / truth.sum()
        specificity = np.array([(1 - truth)[~rater].sum() for rater in flat]) / (1 - truth).sum()
    return truth.reshape(size)


def overlapping(seed: int) -> Tensor:
    """Three imperfect drawings of one disk, as logits."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:30, :40]
    drawings = []
    for _ in range(3):
        y, x = np.array([15, 20]) + generator.normal(0, 1.5, 2)
        drawings.append(generator.uniform(7, 10) - np.hypot(rows - y, columns - x))
    return torch.from_numpy(np.stack(drawings)).float()


def test_single_takes_the_one_answer() -> None:
    logits = proposals(0)[:1]
    mask, iou = SingleMask()(logits, torch.tensor([0.7]))
    assert torch.equal(mask, logits[0] > 0)
    assert iou == pytest.approx(0.7)


@pytest.mark.parametrize("seed", range(4))
def test_best_takes_the_highest_prediction(seed: int) -> None:
    logits, iou = proposals(seed), torch.rand(3, generator=torch.Generator().manual_seed(seed))
    best = max(range(3), key=lambda m: float(iou[m]))
    mask, kept = BestIou()(logits, iou)
    assert torch.equal(mask, logits[best] > 0)
    assert kept == float(iou[best])


def test_of_equal_predictions_the_first_is_best() -> None:
    logits = proposals(1)
    assert torch.equal(BestIou()(logits, torch.tensor([0.3, 0.8, 0.8]))[0], logits[1] > 0)


@pytest.mark.parametrize("seed", range(3))
def test_average_is_the_mean_probability(seed: int) -> None:
    logits = proposals(seed)
    mask, iou = AverageMask()(logits, IOU)
    assert np.array_equal(mask.numpy(), weighted_mean(logits, [1, 1, 1]) > 0.5)
    assert iou == pytest.approx((0.5 + 0.9 + 0.2) / 3)


def test_one_steep_proposal_does_not_outvote_two() -> None:
    logits = torch.tensor([50.0, -2.0, -2.0])[:, None, None]
    assert logits.mean() > 0
    assert not AverageMask()(logits, IOU)[0].item()


@pytest.mark.parametrize(
    ("iou", "weights"),
    [
        ([0.5, 0.9, 0.2], [0.5, 0.9, 0.2]),
        ([-0.4, 0.9, 0.2], [0, 0.9, 0.2]),
        ([0, 0, 0], [1, 1, 1]),
        ([-1, -2, -3], [1, 1, 1]),
        ([0, 1, 0], [0, 1, 0]),
    ],
)
def test_weights_are_the_predictions_above_zero(iou: list[float], weights: list[float]) -> None:
    logits = proposals(5)
    mask, kept = IouWeightedMask()(logits, torch.tensor(iou, dtype=torch.float32))
    assert np.array_equal(mask.numpy(), weighted_mean(logits, weights) > 0.5)
    assert kept == pytest.approx(np.average(iou, weights=weights))


@pytest.mark.parametrize("seed", range(3))
@NEEDS_SIMPLEITK
def test_staple_equals_expectation_maximisation(seed: int) -> None:
    logits = overlapping(seed)
    mask, iou = StapleMask(100)(logits, IOU)
    truth = staple((logits > 0).numpy())
    clear = abs(truth - 0.5) > 1e-3
    assert clear.mean() > 0.99
    assert np.array_equal(mask.numpy()[clear], (truth > 0.5)[clear])
    assert iou == pytest.approx(float(IOU.mean()))


@NEEDS_SIMPLEITK
def test_staple_is_no_majority_vote() -> None:
    """It may trust one careful rater more than two; a fusion that counts heads could not differ."""
    differing = 0
    for seed in range(10):
        logits = overlapping(seed)
        differing += bool(((logits > 0).sum(0) >= 2).ne(StapleMask(100)(logits, IOU)[0]).any())
    assert differing


@pytest.mark.parametrize("seed", range(4))
def test_map_agreement_is_the_largest_contrast_of_saliency(seed: int) -> None:
    logits, saliency = proposals(seed), np.random.default_rng(seed).random((13, 17), np.float32)
    logits[seed % 3] = (
        -1 if seed < 2 else 1
    )  # of an empty mask the inside counts 0, of the whole image the contrast
    scores = []
    for proposal in logits.numpy():
        values: dict[bool, list[float]] = {True: [], False: []}
        for y, x in np.ndindex(saliency.shape):
            values[bool(proposal[y, x] > 0)].append(float(saliency[y, x]))
        inside, outside = (sum(some) / max(len(some), 1) for some in (values[True], values[False]))
        scores.append(inside - outside if values[False] else 0)
    best = scores.index(max(scores))
    mask, kept = MapAgreement().on_map(saliency)(logits, IOU)
    assert torch.equal(mask, logits[best] > 0)
    assert kept == float(IOU[best])


@NEEDS_SIMPLEITK
def test_staple_needs_an_iteration() -> None:
    with pytest.raises(UserError, match=r"^fusion\.iterations is 0"):
        StapleMask(0)
