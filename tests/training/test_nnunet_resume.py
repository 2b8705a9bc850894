"""A training that was broken off anywhere goes on as if it had not been."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.training.nnunet_training import NnunetModule
from tests.nnunet_toy import Toy, train

PLACES = {
    "within an epoch": ("on_train_batch_end", 2),
    "before the last step of an epoch": ("on_train_batch_start", 2),
    "before validation": ("on_validation_start", 3),
    "in validation": ("on_validation_batch_end", 3),
    "after validation": ("on_validation_epoch_end", 3),
    "between epochs": ("on_train_epoch_start", 3),
    "within a later epoch": ("on_train_batch_end", 5),
    "in the last validation": ("on_validation_batch_end", 6),
}
"""Where a training of 2 epochs and 3 steps is broken off: a hook, and the steps that were done by then."""


class BrokenOffError(Exception):
    """Stands for a crash."""


class BreakOff(pl.Callback):
    """Raises once in one hook."""

    def __init__(self, hook: str, step: int) -> None:
        def raise_once(trainer: pl.Trainer, *_: Any, **__: Any) -> None:
            if trainer.global_step == step:
                raise BrokenOffError

        setattr(self, hook, raise_once)


class Steps(pl.Callback):
    """Counts the steps that are done."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.done.append(trainer.global_step)


def figures(parts: TrainingParts) -> dict[str, Any]:
    """What nnU-Net keeps of each epoch, apart from the times."""
    return {name: values for name, values in parts.history.items() if "timestamps" not in name}


def weights(parts: TrainingParts) -> dict[str, dict[str, torch.Tensor]]:
    """The weights in each checkpoint."""
    return {
        file.name: read_checkpoint(file)["network_weights"] for file in sorted(parts.results.glob("*.pth"))
    }


def assert_same(left: TrainingParts, right: TrainingParts) -> None:
    first, second = weights(left), weights(right)
    assert (
        sorted(first)
        == sorted(second)
        == [
            "checkpoint_epoch_0000.pth",
            "checkpoint_epoch_0001.pth",
            "checkpoint_final.pth",
        ]
    )
    for file, tensors in first.items():
        assert tensors.keys() == second[file].keys()
        for name, value in tensors.items():
            assert torch.equal(value, second[file][name]), (file, name)
    assert figures(left) == figures(right)
    for name, values in right.history.items():
        assert len(values) == 2, name


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> TrainingParts:
    parts = toy.elsewhere(tmp_path_factory.mktemp("undisturbed")).parts()
    train(parts)
    return parts


@pytest.mark.parametrize("place", PLACES)
def test_broken_off_and_resumed_equals_undisturbed(
    toy: Toy, tmp_path: Path, undisturbed: TrainingParts, place: str
) -> None:
    own = toy.elsewhere(tmp_path)
    with pytest.raises(BrokenOffError):
        train(own.parts(), BreakOff(*PLACES[place]))
    parts = own.parts()
    train(parts)
    assert_same(undisturbed, parts)


def test_a_finished_training_is_not_trained_again(toy: Toy, tmp_path: Path) -> None:
    own, steps = toy.elsewhere(tmp_path), Steps()
    first, again = own.parts(), own.parts()
    train(first, steps)
    before = {file: file.stat().st_mtime_ns for file in first.results.glob("*.pth")}
    train(again, steps)
    assert steps.done == [1, 2, 3, 4, 5, 6]
    assert {file: file.stat().st_mtime_ns for file in first.results.glob("*.pth")} == before
    assert figures(first) == figures(again)


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_checkpoint(
    toy: Toy, tmp_path: Path
) -> None:
    from medsam_exp.types import UserError

    parts = toy.elsewhere(tmp_path).parts()

    class Spoiled(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, module: NnunetModule, *_: Any) -> None:
            if trainer.global_step == 2:
                next(module.network.parameters()).data.fill_(float("nan"))

    with pytest.raises(UserError, match=r"loss became nan at step 2 of epoch 0: lower nnunet.learning_rate"):
        train(parts, Spoiled())
    assert (parts.results / "lightning" / "last.ckpt").is_file()
