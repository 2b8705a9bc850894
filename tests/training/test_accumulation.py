"""Gradients of several batches: the mean of those that are in a step, in an epoch's last step too."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from medsam_exp.training.callbacks import AccumulationMean


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
