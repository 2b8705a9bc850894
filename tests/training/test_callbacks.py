"""Callbacks and the logger of every training: accumulated gradients, and figures of several trainings in one file."""

import csv
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

from medsam_exp.training.callbacks import AccumulationMean, PrefixedLogger


class Slope(pl.LightningModule):
    """One weight whose gradient is the mean of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.before: list[float] = []

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        return (self.weight * batch).mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        del optimizer
        assert self.weight.grad is not None
        self.before.append(float(self.weight.grad))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1.0)


@pytest.mark.parametrize(
    ("accumulate", "gradients"), [(1, [1.0, 3.0, 5.0]), (2, [2.0, 5.0]), (3, [3.0]), (4, [3.0])]
)
def test_each_step_takes_the_mean_of_its_batches(accumulate: int, gradients: list[float]) -> None:
    module = Slope()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        callbacks=[AccumulationMean()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(torch.tensor([1.0, 3.0, 5.0]), batch_size=1))
    assert module.before == pytest.approx(gradients * 2)


def test_figures_of_two_trainings_do_not_mix(tmp_path: Path) -> None:
    inner = CSVLogger(tmp_path, name="curves", version="")
    for training, loss in (("weak/fold_0", 0.5), ("reference/fold_0", 0.25)):
        logger = PrefixedLogger(inner, training)
        logger.log_hyperparams({})
        logger.log_metrics({"train/loss": loss, "epoch": 1}, step=7)
        logger.finalize("success")
        assert (logger.name, logger.version, logger.save_dir) == (inner.name, inner.version, inner.save_dir)
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["weak/fold_0/train/loss"], second["weak/fold_0/train/loss"]) == ("0.5", "")
    assert (first["reference/fold_0/train/loss"], second["reference/fold_0/train/loss"]) == ("", "0.25")
    assert {first["step"], second["step"]} == {"7"}
    assert {first["epoch"], second["epoch"]} == {"1"}
