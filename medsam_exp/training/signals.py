"""A Trainer takes SIGTERM for itself; here it is given back."""

import pytorch_lightning as pl

from medsam_exp.runtime.interrupts import take_back_signals


class OwnSignals(pl.Callback):
    """SIGTERM stops a run under a Trainer as it does elsewhere.

    Lightning's own handler notes the signal and looks at it after a training's batch; a prediction goes on to its end.
    Within a process group it waits in a broadcast for processes that may do something else.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back, as the Trainer has just put its handlers in place."""
        del trainer, pl_module
        take_back_signals()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals back."""
        del trainer, pl_module
        take_back_signals()
