"""Training under Lightning is nnU-Net's own training: same losses, same weights, same figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.training.nnunet_data import SeededBatches
from medsam_exp.types import UserError
from tests.nnunet_toy import Rate, Toy, settings, train

EPOCHS, ITERATIONS = 2, 3


class Losses(pl.Callback):
    """Notes the loss and the learning rate of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(float(outputs["loss"]))

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def nnunets_own(parts: TrainingParts) -> tuple[list[float], dict[str, list[Any]]]:
    """Losses and figures of nnU-Net's loop: its trainer's own steps, one after the other, on the same batches."""
    trainer = parts._trainer
    sources = parts.batches()
    batches = {use: SeededBatches(source, 0, use, ITERATIONS) for use, source in sources.items()}
    losses = []
    for epoch in range(EPOCHS):
        trainer.network.train()
        for group in trainer.optimizer.param_groups:
            group["lr"] = Rate()(epoch)
        done = []
        for number in numpy_generator(0, "order", epoch).permutation(ITERATIONS).tolist():
            batch = batches["train"][epoch, number]
            done.append(trainer.train_step({"data": batch.image, "target": batch.target}))
        losses += [float(step["loss"]) for step in done]
        trainer.current_epoch = epoch
        trainer.logger.log("lrs", trainer.optimizer.param_groups[0]["lr"], epoch)
        trainer.on_train_epoch_end(done)
        trainer.on_validation_epoch_start()
        with torch.no_grad():
            seen = [batches["validation"][0, number] for number in range(2)]
            checked = [trainer.validation_step({"data": b.image, "target": b.target}) for b in seen]
        trainer.on_validation_epoch_end(checked)
    return losses, trainer.logger.get_checkpoint()


@pytest.fixture(scope="module")
def both(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same training by Lightning and by nnU-Net."""
    ours, theirs = (toy.elsewhere(tmp_path_factory.mktemp(name)).parts() for name in ("ours", "theirs"))
    first = {name: value.clone() for name, value in ours.network.state_dict().items()}
    for name, value in theirs.network.state_dict().items():
        assert torch.equal(value, first[name]), name
    noted = Losses()
    train(ours, noted)
    losses, figures = nnunets_own(theirs)
    return {
        "first": first,
        "ours": ours,
        "theirs": theirs,
        "noted": noted,
        "losses": losses,
        "figures": figures,
    }


def test_losses_and_weights_are_those_of_nnunets_own_steps(both: dict[str, Any]) -> None:
    assert len(both["losses"]) == EPOCHS * ITERATIONS
    assert both["noted"].losses == pytest.approx(both["losses"], abs=1e-5)
    moved = 0.0
    theirs = both["theirs"].network.state_dict()
    for name, value in both["ours"].network.state_dict().items():
        assert torch.allclose(value, theirs[name], atol=1e-5), name
        moved += float((value - both["first"][name]).abs().sum())
    assert moved > 1, "nothing was learned, so nothing was compared"


def test_the_figures_are_those_that_nnunet_would_log(both: dict[str, Any]) -> None:
    history = both["ours"].history
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(both["figures"], EPOCHS)
    for name in ("lrs", "train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice"):
        assert history[name] == pytest.approx(both["figures"][name], abs=1e-5), name
    assert np.allclose(history["dice_per_class_or_region"], both["figures"]["dice_per_class_or_region"])
    assert all(np.subtract(history["epoch_end_timestamps"], history["epoch_start_timestamps"]) > 0)


def test_the_learning_rate_of_every_step_is_the_schedules(both: dict[str, Any]) -> None:
    assert both["noted"].rates == pytest.approx([Rate()(step // ITERATIONS) for step in range(6)])


def test_the_optimizer_is_nnunets(toy: Toy, tmp_path: Path) -> None:
    parts = toy.elsewhere(tmp_path).parts(learning_rate=0.02, weight_decay=1e-4)
    optimizer = parts.optimizer()
    (group,) = optimizer.param_groups
    assert type(optimizer) is torch.optim.SGD
    found = {name: group[name] for name in ("lr", "momentum", "nesterov", "weight_decay")}
    assert found == {"lr": 0.02, "momentum": 0.99, "nesterov": True, "weight_decay": 1e-4}


def test_the_gradient_is_clipped_where_nnunet_clips_it() -> None:
    """Its own number stands in the code of its step; ours is a setting with the same default."""
    import inspect

    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    assert f"clip_grad_norm_(self.network.parameters(), {settings().gradient_clip})" in inspect.getsource(
        nnUNetTrainer.train_step
    )


def test_another_seed_gives_other_weights_and_leaves_the_global_generator_alone(
    toy: Toy, tmp_path: Path
) -> None:
    own = toy.elsewhere(tmp_path)
    before = torch.random.get_rng_state()
    first, again, other = (own.parts(seed=seed).network.state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_fold_needs_five_cases(toy: Toy, tmp_path: Path) -> None:
    own = toy.elsewhere(tmp_path)
    (own.plans.parent / "splits_final.json").unlink()
    with pytest.raises(UserError, match=r"nnunet.folds=0 needs at least 5 labelled images"):
        own.parts(0)
    assert "validation" not in own.parts("all").batches()
