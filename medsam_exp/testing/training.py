"""Checks of contrastive losses, of pruners of a search, of schedules, losses and labels of nnU-Net's training."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medsam_exp.config.auxiliary_images import KNOWN_BY
from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import about, contract, expect, expect_error
from medsam_exp.types import ContrastiveLoss, UserError

_EPOCHS_AND_CYCLES = ((1, 1), (7, 1), (60, 1), (4, 4), (60, 3), (600, 3))
_INITIAL_RATE = 0.01  # nnU-Net's own
_SOURCES = ("zero_shot", "folder", "ground_truth")
_IMAGES = 32


@contract
def check_loss(loss: ContrastiveLoss | Any, /) -> None:
    """Check a contrastive loss: a finite float32 scalar with right gradients that tells pairs from negatives."""
    image, text = _pairs(7)
    value = loss(image, text)
    expect(value.shape == (), f"the loss has shape {tuple(value.shape)}, but it must be a scalar")
    expect(torch.equal(loss(image, text), value), "another value the second time")
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    expect(_near(loss(image[order], text[order]), value), "the order of the pairs matters")
    lengths = torch.arange(1, 8)[:, None]
    expect(_near(loss(image * lengths, text * 100), value), "the length of embeddings matters")
    expect(not _near(loss(image[order], text), value, 1e-3), "texts of other images give the same loss")
    image, text = (each.requires_grad_() for each in _pairs(5))
    right = torch.autograd.gradcheck(loss, (image, text), raise_exception=False)
    expect(right, "the gradients do not match finite differences")
    image, text = (each.float() for each in _pairs(16, 32))
    exact = loss(image, text)
    with torch.autocast("cpu", torch.bfloat16):
        expect(torch.equal(loss(image, text), exact), "autocast changes it; compute in float32 within")
    expect(exact.dtype == torch.float32, f"the loss of float32 embeddings is {exact.dtype}")
    for opposite in (image, -image):
        one, other = image.clone().requires_grad_(), opposite.clone().requires_grad_()
        value = loss(one, other)
        value.backward()
        finite = all(
            each is not None and bool(each.isfinite().all()) for each in (value, one.grad, other.grad)
        )
        expect(finite, "equal or opposite embeddings give a value or gradient that is not finite")
    single = "a single pair has no negatives and must be refused"
    expect_error(UserError, "at least two image-text pairs", single, loss, torch.ones(1, 4), torch.ones(1, 4))
    sizes, unequal = r"\(3, 4\) for images and \(2, 4\) for texts", "unequal numbers of images and texts"
    expect_error(UserError, sizes, f"{unequal} must be refused", loss, torch.ones(3, 4), torch.ones(2, 4))


@contract
def check_pruner(pruner: Any, /) -> None:
    """Check a pruner: growing numbers of images that end with all, and a rule that stops only hopeless trials."""
    import optuna  # an extra

    for images in (1, 2, 3, 7, 8, 9, 60, 1000):
        rungs = pruner.rungs(images)
        expect(rungs[-1] == images, f"of {images} images the last rung has {rungs[-1]}")
        growing = rungs == sorted(set(rungs)) and rungs[0] >= 1
        expect(growing, f"of {images} images the rungs are {rungs}, which do not grow from 1 or more")
    scores = [0.1, 0.7, 0.4, 0.9, 0.2, 0.3, 0.8, 0.6, 0.5, 0.4]
    before, after = pruner.reports(scores[:8]), pruner.reports(scores)
    same = all(after.get(step, value) == value for step, value in before.items())
    expect(same, "what was reported once is reported differently after more images")
    typed = all(isinstance(step, int) and isinstance(value, float) for step, value in after.items())
    expect(typed, "reports must be floats by integer step")
    expect(isinstance(pruner.rule(), optuna.pruners.BasePruner), "rule() is no pruner of Optuna")
    never_stops = isinstance(pruner.rule(), optuna.pruners.NopPruner)
    for direction, sign in (("maximize", 1), ("minimize", -1)):
        study = optuna.create_study(direction=direction, pruner=pruner.rule())
        for trial in range(8):
            better = [sign * (0.5 + 0.02 * trial + 0.01 * (image % 5)) for image in range(_IMAGES)]
            whole = _images_scored(pruner, study, better) == _IMAGES
            expect(whole, "the first trial, or one better than all before it, is stopped")
        hopeless = _images_scored(pruner, study, [sign * (0.01 * (image % 3)) for image in range(_IMAGES)])
        expect((hopeless < _IMAGES) != never_stops, "a trial far worse than all others is not stopped")


@contract
def check_nnunet_schedule(schedule: Any, /, *, cyclic: bool = False) -> None:
    """Check a learning-rate schedule: a positive rate for each epoch that does not rise within a cycle.

    Args:
        schedule: the object, or a configuration node that describes it.
        cyclic: whether it knows more than one cycle; otherwise it must refuse them.
    """
    for epochs, cycles in _EPOCHS_AND_CYCLES:
        if cycles > 1 and not cyclic:
            refused = f"a schedule with one cycle must refuse {cycles}"
            expect_error(UserError, "cycles", refused, schedule, 0, epochs, cycles, _INITIAL_RATE)
            continue
        for initial_rate in (_INITIAL_RATE, 3e-4):
            with about(f"{epochs} epochs, {cycles} cycles, initial rate {initial_rate}"):
                _check_rates(schedule, epochs, cycles, initial_rate)
    for epoch in (-1, 60, 61, 1000):
        refused = f"a training of 60 epochs has no epoch {epoch}, and its rate must be refused"
        asked = f"epoch {epoch} is asked for"
        expect_error(ValueError, asked, refused, schedule, epoch, 60, 1, _INITIAL_RATE)
    refused = "60 epochs have no 7 equal cycles, which must be refused"
    expect_error(UserError, "cannot be cut into 7 equal cycles", refused, schedule, 0, 60, 7, _INITIAL_RATE)


def _check_rates(schedule: Any, epochs: int, cycles: int, initial_rate: float) -> None:
    rates, again = (
        [schedule(epoch, epochs, cycles, initial_rate) for epoch in range(epochs)] for _ in range(2)
    )
    positive = all(isinstance(rate, float) and math.isfinite(rate) and rate > 0 for rate in rates)
    expect(positive, "a rate is no finite float above 0")
    expect(rates == again, "other rates the second time")
    if initial_rate == _INITIAL_RATE:  # released schedules fall from nnU-Net's rate alone
        length = epochs // cycles
        by_cycle = [rates[start : start + length] for start in range(0, epochs, length)]
        falling = all(cycle == sorted(cycle, reverse=True) for cycle in by_cycle)
        expect(falling, "the rate rises within a cycle")


@contract
def check_nnunet_loss(loss: Any, /) -> None:
    """Check what stands beside Dice: a mean over known pixels with right gradients, least where labels are believed."""
    generator = torch.Generator().manual_seed(0)
    for classes in (2, 4):
        logits = torch.randn(3, classes, 5, 6, generator=generator, dtype=torch.float64)
        target = torch.randint(0, classes, (3, 5, 6), generator=generator)
        with about(f"{classes} classes"):
            _check_pixel_loss(loss, logits, target)


def _check_pixel_loss(loss: Any, logits: Tensor, target: Tensor) -> None:
    value, ignored = loss(logits, target), logits.shape[1]
    expect(value.shape == (), f"the loss has shape {tuple(value.shape)}, but it must be a scalar")
    expect(torch.equal(loss(logits, target), value), "another value the second time")
    right = torch.autograd.gradcheck(
        lambda given: loss(given, target), logits.clone().requires_grad_(), raise_exception=False
    )
    expect(right, "the gradients do not match finite differences")
    believed = functional.one_hot(target, ignored).movedim(-1, 1).double()
    falling = [float(loss(scale * believed, target)) for scale in (-20.0, 0.0, 1.0, 20.0)]
    expect(falling == sorted(falling, reverse=True), "it does not fall as the labels' probabilities rise")
    partly = target.clone()
    partly[:, ::2] = ignored
    known = loss(logits[:, :, 1::2], target[:, 1::2])
    expect(_near(loss(logits, partly, ignored), known), "ignored pixels count")
    for extreme in (1e4, -1e4):
        given = (extreme * believed).float().requires_grad_()
        loss(given, target).backward()
        finite = given.grad is not None and bool(given.grad.isfinite().all())
        expect(finite, "extreme logits give a gradient that is not finite")


def _check_needs(choice: Any) -> None:
    needs = getattr(choice, "needs", None)
    expect(needs is None or needs in KNOWN_BY, f"needs is {needs!r}, not one of {', '.join(KNOWN_BY)}")


@contract
def check_label_ignore(choice: Any, /) -> None:
    """Check what marks unknown pixels: a boolean mask of the image's size, always the same, empty without `marks`."""
    _check_needs(choice)
    fresh = copy.deepcopy(choice)
    for shape in SHAPES.values():
        for shown, mask in example_masks(shape).items():
            probability = np.where(mask, np.float32(0.9), np.float32(0.4))
            given = _trusted_candidate(mask.copy(), coarse_mask=~mask, probability=probability)
            unknown = choice(given)
            with about(f"mask {shown!r} of {shape}"):
                right = unknown.dtype == bool and unknown.shape == mask.shape
                expect(
                    right, f"the unknown pixels are {unknown.dtype} {unknown.shape}, not bool {mask.shape}"
                )
                expect(np.array_equal(fresh(given), unknown), "another object marks other pixels")
                expect(np.array_equal(given.mask, mask), "the mask was changed")
                expect(choice.marks or not unknown.any(), "it says that it marks nothing, and does")


@contract
def check_label_weight(choice: Any, /) -> None:
    """Check a weight of images: a number in (0, 1], always the same, and not less for a mask that is trusted more."""
    _check_needs(choice)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    best = _trusted_candidate(mask)
    doubted = _trusted_candidate(mask, coarse_mask=~mask, iou_predictions=(0.1, 0.9))
    missed = _trusted_candidate(np.zeros_like(mask), coarse_mask=mask, iou_predictions=())
    found = [choice(each) for each in (doubted, best, missed)]
    for value in found:
        expect(isinstance(value, float) and 0 < value <= 1, f"the weight {value!r} is no float in (0, 1]")
    expect(found[0] <= found[1], "a doubted mask has a larger weight than a trusted one")
    expect([choice(each) for each in (doubted, best, missed)] == found, "other weights the second time")


@contract
def check_weak_label(policy: Any, /) -> None:
    """Check a label policy: a known source; of zero-shot masks one short reason to drop or None, always the same."""
    expect(policy.source in _SOURCES, f"source is {policy.source!r}, not one of {', '.join(_SOURCES)}")
    zero_shot = policy.source == "zero_shot"
    expect(callable(policy) == zero_shot, "policies of zero-shot masks are called, and no others")
    if not zero_shot:
        return
    fresh = copy.deepcopy(policy)
    for shape in SHAPES.values():
        for shown, mask in example_masks(shape).items():
            for facts in ({}, {"iou_predictions": (0.1, 0.9)}, {"presence": 0.0}, {"coarse_mask": ~mask}):
                given = _trusted_candidate(mask.copy(), **facts)
                reason = policy(given)
                with about(f"mask {shown!r} of {shape}, {', '.join(facts) or 'trusted'}"):
                    short = reason is None or (0 < len(reason) < 200 and "\n" not in reason)
                    expect(short, f"the reason {reason!r} is not one line of less than 200 characters")
                    expect(fresh(given) == reason, "another object gives another reason")
                    expect(np.array_equal(given.mask, mask), "the mask was changed")
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    reason = policy(_trusted_candidate(mask))
    expect(reason is None, f"a compact, confident, present mask is dropped: {reason}")


def _trusted_candidate(mask: np.ndarray, **facts: Any) -> Candidate:
    """A zero-shot mask (H, W) that every fact speaks for, but for attributes of `Candidate` that are given."""
    given: dict[str, Any] = {"coarse_mask": mask.copy(), "iou_predictions": (0.99, 0.95), "presence": 0.99}
    return Candidate("scan@tumor", "scan", "tumor", mask, **(given | facts))


def _pairs(batch: int, dimension: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image, text = torch.randn(2, batch, dimension, generator=generator, dtype=torch.float64).unbind()
    return 3 * image, 0.5 * text


def _near(one: Tensor, other: Tensor, tolerance: float = 1e-6) -> bool:
    return abs(one.item() - other.item()) <= tolerance * max(1.0, abs(other.item()))


def _images_scored(pruner: Any, study: Any, scores: Sequence[float]) -> int:
    """Images that a trial with these scores is scored on before it ends or is pruned."""
    from optuna.trial import TrialState

    trial = study.ask()
    told: set[int] = set()
    for count in pruner.rungs(len(scores)):
        for step, value in pruner.reports(scores[:count]).items():
            if step not in told:
                trial.report(value, step)
                told.add(step)
        if count < len(scores) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return int(count)
    study.tell(trial, sum(scores) / len(scores))
    return len(scores)
