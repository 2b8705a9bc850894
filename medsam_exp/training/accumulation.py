"""The last optimizer step of an epoch counts its batches as every other step does."""

from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer


class WholeMean(pl.Callback):
    """Makes an accumulated gradient the mean over the batches that are in it.

    Lightning divides each batch's loss by `accumulate_grad_batches`, also in the last step of an epoch, which may have
    fewer batches, and in the first one after a resume: their gradients would be too small.
    """

    def __init__(self) -> None:
        self._batches = 0

    def on_train_batch_start(self, *_: Any) -> None:
        """Count the batch."""
        self._batches += 1

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Take back what was divided too much; Lightning clips gradients after this."""
        del optimizer
        share, self._batches = self._batches / trainer.accumulate_grad_batches, 0
        if share < 1:
            for parameter in pl_module.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(share)
