"""Losses beside Dice against their equations pixel by pixel, and within nnU-Net's own loss."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from medsam_exp.nnunet.nnunet_loss.dice_ce import DiceCE
from medsam_exp.nnunet.nnunet_loss.dice_gce import DiceGCE
from medsam_exp.nnunet.nnunet_loss.dice_sce import DiceSCE
from medsam_exp.nnunet.nnunet_loss.pixel_term import PixelLoss, replace_cross_entropy
from medsam_exp.types import UserError

IGNORED = 3


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, IGNORED, 6, 7, generator=generator)
    return logits, torch.randint(0, IGNORED + 1, (2, 1, 6, 7), generator=generator).to(torch.int16)


def slow(logits: torch.Tensor, target: torch.Tensor, of: Callable[[list[float], int], float]) -> float:
    """Mean over the known pixels of a function of all probabilities of a pixel and its label, in float64."""
    values = []
    for image, labels in zip(logits.double().numpy(), target[:, 0].numpy(), strict=True):
        for place in np.ndindex(labels.shape):
            exponentials = [math.exp(each) for each in image[(slice(None), *place)]]
            if labels[place] != IGNORED:
                probabilities = [each / sum(exponentials) for each in exponentials]
                values.append(of(probabilities, int(labels[place])))
    return sum(values) / len(values)


def symmetric(probabilities: list[float], label: int) -> float:
    targets = [1.0 if value == label else 1e-3 for value in range(len(probabilities))]
    reverse = -sum(p * math.log(t) for p, t in zip(probabilities, targets, strict=True))
    return -0.3 * math.log(probabilities[label]) + 0.8 * reverse


EQUATIONS: dict[str, tuple[PixelLoss, Callable[[list[float], int], float]]] = {
    "ce": (DiceCE(), lambda p, label: -math.log(p[label])),
    "gce": (DiceGCE(q=0.7), lambda p, label: (1 - p[label] ** 0.7) / 0.7),
    "mae": (DiceGCE(q=1.0), lambda p, label: 1 - p[label]),
    "sce": (DiceSCE(alpha=0.3, beta=0.8, smallest_target=1e-3), symmetric),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_equation(name: str) -> None:
    loss, equation = EQUATIONS[name]
    logits, target = batch()
    found = loss(logits, target[:, 0].long(), IGNORED)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(slow(logits, target, equation), rel=1e-5)


def test_gce_goes_to_the_cross_entropy_as_q_falls() -> None:
    logits, target = batch()
    labels = target[:, 0].long()
    wanted = float(DiceCE()(logits.double(), labels, IGNORED))
    assert float(DiceGCE(q=1e-6)(logits.double(), labels, IGNORED)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", ["gce", "sce"])
def test_a_label_that_the_network_does_not_believe_pulls_less_than_with_cross_entropy(name: str) -> None:
    """Share of the gradient that one contradicted pixel has beside one that is nearly believed."""
    logits = torch.tensor([[[[8.0, 0.5]], [[0.0, 0.0]]]])
    target = torch.tensor([[[1, 0]]])
    shares = []
    for loss in (DiceCE(), EQUATIONS[name][0]):
        given = logits.clone().requires_grad_()
        loss(given, target).backward()
        pull = given.grad.abs().sum((0, 1, 2))
        shares.append(float(pull[0] / pull.sum()))
    assert shares[1] < shares[0] / 2


def nnunets(ignore_label: int | None) -> torch.nn.Module:
    """nnU-Net's loss as its trainer makes it, at two resolutions."""
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    both = DC_and_CE_loss(dice, {}, ignore_label=ignore_label, dice_class=MemoryEfficientSoftDiceLoss)
    return DeepSupervisionWrapper(both, [0.75, 0.25])


def outputs(*, ignored: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    pairs = [batch(seed) for seed in (1, 2)]
    targets = [target if ignored else target % IGNORED for _, target in pairs]
    return [logits.requires_grad_() for logits, _ in pairs], targets


@pytest.mark.parametrize("ignored", [False, True])
def test_dice_ce_within_nnunets_loss_is_nnunets_to_the_last_bit(*, ignored: bool) -> None:
    found = []
    for replaced in (False, True):
        loss, (logits, targets) = nnunets(IGNORED if ignored else None), outputs(ignored=ignored)
        if replaced:
            replace_cross_entropy(loss, DiceCE())
        value = loss(logits, targets)
        value.backward()
        found.append([value, *(each.grad for each in logits)])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("name", EQUATIONS)
def test_within_nnunets_loss_dice_stays_and_each_resolution_has_its_weight(name: str) -> None:
    loss, equation = EQUATIONS[name]
    whole, dice = nnunets(IGNORED), nnunets(IGNORED)
    replace_cross_entropy(whole, loss)
    dice.loss.weight_ce = 0
    logits, targets = outputs(ignored=True)
    pairs = zip((0.75, 0.25), logits, targets, strict=True)
    wanted = dice(logits, targets).item()
    wanted += sum(weight * slow(each.detach(), target, equation) for weight, each, target in pairs)
    assert whole(logits, targets).item() == pytest.approx(wanted, rel=1e-5)


def test_pixels_that_are_all_ignored_teach_nothing() -> None:
    loss = nnunets(IGNORED)
    replace_cross_entropy(loss, DiceGCE(q=0.7))
    logits, targets = outputs(ignored=True)
    value = loss(logits, [torch.full_like(target, IGNORED) for target in targets])
    value.backward()
    assert value.isfinite()
    assert not any(each.grad.any() for each in logits)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DiceGCE(q=0.0), r"nnunet_loss.q=0.0, but it must be in \(0, 1\]"),
        (lambda: DiceGCE(q=1.1), r"nnunet_loss.q=1.1"),
        (lambda: DiceSCE(-0.1, 1.0, 1e-4), r"nnunet_loss.alpha=-0.1"),
        (lambda: DiceSCE(0.0, 0.0, 1e-4), r"not both 0"),
        (lambda: DiceSCE(0.1, 1.0, 0.0), r"nnunet_loss.smallest_target=0.0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()
