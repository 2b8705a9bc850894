"""Checks of contrastive losses, of pruners of a search, of schedules and labels of nnU-Net's training."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medsam_exp.nnunet.weak_label.candidate import Candidate
from medsam_exp.testing.arrays import SHAPES, example_masks
from medsam_exp.testing.expectation import built, expect, expect_error, name_of
from medsam_exp.types import ContrastiveLoss, UserError

_EPOCHS_AND_CYCLES = ((1, 1), (7, 1), (60, 1), (4, 4), (60, 3), (600, 3))
_INITIAL_RATE = 0.01  # nnU-Net's own
_SOURCES = ("zero_shot", "folder", "ground_truth")
_IMAGES = 32


def check_loss(loss: ContrastiveLoss | Any) -> None:
    """Check a contrastive loss: a finite float32 scalar with right gradients that tells pairs from negatives.

    Args:
        loss: the object, or a configuration node that describes it.

    Raises:
        AssertionError: says what it does not keep.
    """
    loss = built(loss)
    name = name_of(loss)
    image, text = _pairs(7)
    value = loss(image, text)
    expect(value.shape == (), f"{name}: the loss has shape {tuple(value.shape)}, but it must be a scalar")
    expect(torch.equal(loss(image, text), value), f"{name}: another value the second time")
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    expect(_near(loss(image[order], text[order]), value), f"{name}: the order of the pairs matters")
    lengths = torch.arange(1, 8)[:, None]
    expect(_near(loss(image * lengths, text * 100), value), f"{name}: the length of embeddings matters")
    different = not _near(loss(image[order], text), value, 1e-3)
    expect(different, f"{name}: texts of other images give the same loss")
    image, text = (each.requires_grad_() for each in _pairs(5))
    right = torch.autograd.gradcheck(loss, (image, text), raise_exception=False)
    expect(right, f"{name}: the gradients do not match finite differences")
    image, text = (each.float() for each in _pairs(16, 32))
    exact = loss(image, text)
    with torch.autocast("cpu", torch.bfloat16):
        expect(
            torch.equal(loss(image, text), exact), f"{name}: autocast changes it; compute in float32 within"
        )
    expect(exact.dtype == torch.float32, f"{name}: the loss of float32 embeddings is {exact.dtype}")
    for opposite in (image, -image):
        one, other = image.clone().requires_grad_(), opposite.clone().requires_grad_()
        value = loss(one, other)
        value.backward()
        finite = all(
            each is not None and bool(each.isfinite().all()) for each in (value, one.grad, other.grad)
        )
        expect(finite, f"{name}: equal or opposite embeddings give a value or gradient that is not finite")
    expect_error(
        UserError,
        "at least two image-text pairs",
        lambda: loss(torch.ones(1, 4), torch.ones(1, 4)),
        f"{name}: a single pair has no negatives and must be refused",
    )
    expect_error(
        UserError,
        r"\(3, 4\) for images and \(2, 4\) for texts",
        lambda: loss(torch.ones(3, 4), torch.ones(2, 4)),
        f"{name}: unequal numbers of images and texts must be refused",
    )


def check_pruner(pruner: Any) -> None:
    """Check a pruner: growing numbers of images that end with all, and a rule that stops only hopeless trials.

    Args:
        pruner: the object, or a configuration node that describes it.

    Raises:
        AssertionError: says what it does not keep.
    """
    import optuna  # an extra

    pruner = built(pruner)
    name = name_of(pruner)
    for images in (1, 2, 3, 7, 8, 9, 60, 1000):
        rungs = pruner.rungs(images)
        expect(rungs[-1] == images, f"{name}: of {images} images the last rung has {rungs[-1]}")
        growing = rungs == sorted(set(rungs)) and rungs[0] >= 1
        expect(growing, f"{name}: of {images} images the rungs are {rungs}, which do not grow from 1 or more")
    scores = [0.1, 0.7, 0.4, 0.9, 0.2, 0.3, 0.8, 0.6, 0.5, 0.4]
    before, after = pruner.reports(scores[:8]), pruner.reports(scores)
    same = all(after.get(step, value) == value for step, value in before.items())
    expect(same, f"{name}: what was reported once is reported differently after more images")
    typed = all(isinstance(step, int) and isinstance(value, float) for step, value in after.items())
    expect(typed, f"{name}: reports must be floats by integer step")
    expect(isinstance(pruner.rule(), optuna.pruners.BasePruner), f"{name}: rule() is no pruner of Optuna")
    never_stops = isinstance(pruner.rule(), optuna.pruners.NopPruner)
    for direction, sign in (("maximize", 1), ("minimize", -1)):
        study = optuna.create_study(direction=direction, pruner=pruner.rule())
        for trial in range(8):
            better = [sign * (0.5 + 0.02 * trial + 0.01 * (image % 5)) for image in range(_IMAGES)]
            whole = _images_scored(pruner, study, better) == _IMAGES
            expect(whole, f"{name}: the first trial, or one better than all before it, is stopped")
        hopeless = _images_scored(pruner, study, [sign * (0.01 * (image % 3)) for image in range(_IMAGES)])
        stopped = hopeless < _IMAGES
        expect(stopped != never_stops, f"{name}: a trial far worse than all others is not stopped")


def check_nnunet_schedule(schedule: Any, *, cyclic: bool = False) -> None:
    """Check a learning-rate schedule: a positive rate for each epoch that does not rise within a cycle.

    Args:
        schedule: the object, or a configuration node that describes it.
        cyclic: whether it knows more than one cycle; otherwise it must refuse them.

    Raises:
        AssertionError: says what it does not keep.
    """
    schedule = built(schedule)
    name = name_of(schedule)
    for epochs, cycles in _EPOCHS_AND_CYCLES:
        for initial_rate in (_INITIAL_RATE, 3e-4):
            case = f"{name}: {epochs} epochs, {cycles} cycles, initial rate {initial_rate}"
            if cycles > 1 and not cyclic:
                expect_error(
                    UserError,
                    "cycles",
                    lambda epochs=epochs, cycles=cycles: schedule(0, epochs, cycles, _INITIAL_RATE),  # type: ignore[misc]
                    f"{case}: a schedule with one cycle must refuse more",
                )
                continue
            rates, again = (
                [schedule(epoch, epochs, cycles, initial_rate) for epoch in range(epochs)] for _ in range(2)
            )
            positive = all(isinstance(rate, float) and math.isfinite(rate) and rate > 0 for rate in rates)
            expect(positive, f"{case}: a rate is no finite float above 0")
            expect(rates == again, f"{case}: other rates the second time")
            length = epochs // cycles
            by_cycle = [rates[start : start + length] for start in range(0, epochs, length)]
            falling = all(cycle == sorted(cycle, reverse=True) for cycle in by_cycle)
            expect(
                falling or initial_rate != _INITIAL_RATE,  # released schedules fall from nnU-Net's rate alone
                f"{case}: the rate rises within a cycle",
            )
    for epoch in (-1, 60, 61, 1000):
        expect_error(
            ValueError,
            f"epoch {epoch} is asked for",
            lambda epoch=epoch: schedule(epoch, 60, 1, _INITIAL_RATE),  # type: ignore[misc]
            f"{name}: a training of 60 epochs has no epoch {epoch}, and its rate must be refused",
        )
    expect_error(
        UserError,
        "cannot be cut into 7 equal cycles",
        lambda: schedule(0, 60, 7, _INITIAL_RATE),
        f"{name}: 60 epochs have no 7 equal cycles, which must be refused",
    )


def check_weak_label(policy: Any) -> None:
    """Check a label policy: a known source; of zero-shot masks one short reason to drop or None, always the same.

    Args:
        policy: the object, or a configuration node that describes it.

    Raises:
        AssertionError: says what it does not keep.
    """
    policy = built(policy)
    name = name_of(policy)
    expect(
        policy.source in _SOURCES, f"{name}: source is {policy.source!r}, not one of {', '.join(_SOURCES)}"
    )
    zero_shot = policy.source == "zero_shot"
    expect(callable(policy) == zero_shot, f"{name}: policies of zero-shot masks are called, and no others")
    if not zero_shot:
        return
    fresh = copy.deepcopy(policy)
    for shape in SHAPES.values():
        for shown, mask in example_masks(shape).items():
            for facts in ({}, {"iou_predictions": (0.1, 0.9)}, {"presence": 0.0}, {"coarse_mask": ~mask}):
                case = f"{name}: mask {shown!r} of {shape}, {', '.join(facts) or 'trusted'}"
                given = trusted_candidate(mask.copy(), **facts)
                reason = policy(given)
                short = reason is None or (0 < len(reason) < 200 and "\n" not in reason)
                expect(short, f"{case}: the reason {reason!r} is not one line of less than 200 characters")
                expect(fresh(given) == reason, f"{case}: another object gives another reason")
                expect(np.array_equal(given.mask, mask), f"{case}: the mask was changed")
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    reason = policy(trusted_candidate(mask))
    expect(reason is None, f"{name}: a compact, confident, present mask is dropped: {reason}")


def trusted_candidate(mask: np.ndarray, **facts: Any) -> Candidate:
    """A zero-shot mask that every fact speaks for, but for those that are given.

    Args:
        mask: (H, W) bool.
        facts: attributes of `Candidate` to be replaced.
    """
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
