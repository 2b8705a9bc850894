"""A training whose numbers are no longer finite: why, and no broken weights in the place of good ones."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from medsam_exp.runtime.finite import broken_weights
from medsam_exp.types import UserError


def diverged(module: pl.LightningModule, what: str, loss: Tensor, remedy: str) -> UserError:
    """The error of a loss that is not finite.

    Before the first step nothing was changed yet, so the weights or the arithmetic are to blame, not the rate.

    Args:
        module: that is trained.
        what: the loss is, such as "The mask loss".
        loss: NaN or infinite.
        remedy: what may mend a training that diverges.
    """
    if module.global_step:
        return UserError(
            f"{what} became {loss.item()} at step {module.global_step} of epoch {module.current_epoch}: {remedy}; "
            "the last good checkpoint stays."
        )
    broken = broken_weights(module.state_dict())
    cause = (
        f"{len(broken)} of the weights that it starts from hold NaN or infinity, the first is {broken[0]}; start from "
        "others."
        if broken
        else "the numbers are too large for the arithmetic; set trainer.precision=32-true, or choose other weights "
        "where it is set already."
    )
    return UserError(
        f"{what} is {loss.item()} before the first step, so no learning rate is to blame: {cause}"
    )


class FiniteWeights(pl.Callback):
    """Ends a training with broken weights before they are kept; stands before the callbacks that keep them."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before snapshots are written.

        Raises:
            UserError: a weight is not finite.
        """
        self._check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: Any) -> None:
        """Look before a checkpoint replaces the last good one.

        Raises:
            UserError: a weight is not finite.
        """
        self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if broken := broken_weights(module.state_dict()):
            raise UserError(
                f"{len(broken)} of the network's weights are no longer finite at step {trainer.global_step} of epoch "
                f"{trainer.current_epoch}, the first is {broken[0]}: lower the learning rate; the last good "
                "checkpoint stays."
            )
