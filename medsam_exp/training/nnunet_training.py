"""nnU-Net's training under a Lightning Trainer."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from medsam_exp.nnunet.training import Batch, TrainingParts
from medsam_exp.training.callbacks import divergence_error
from medsam_exp.training.gather import all_reduce_sum


class NnunetModule(pl.LightningModule):
    """Trains nnU-Net's network with its loss, and follows it by nnU-Net's pseudo-Dice.

    The pseudo-Dice counts all pixels of an epoch's validation patches together, so it is no mean over images.

    Args:
        parts: network, loss and optimizer.
        learning_rate: of a 0-based epoch.
    """

    def __init__(self, parts: TrainingParts, learning_rate: Callable[[int], float]) -> None:
        super().__init__()
        self.network = parts.network
        self._parts, self._learning_rate = parts, learning_rate
        self._names = [
            name for name, value in sorted(parts.labels.items(), key=lambda item: item[1]) if value
        ]
        self._losses: dict[str, list[Tensor]] = {"train": [], "validation": []}
        self._counts = torch.zeros(3, len(self._names))
        self._started = time.time()

    def on_train_epoch_start(self) -> None:
        """Begin an epoch."""
        self.network.train()
        self._started = time.time()

    def training_step(self, batch: Batch, _: int = 0) -> Tensor:
        """Return the deep-supervision loss (Dice and cross-entropy) of one batch.

        Raises:
            UserError: the loss is not finite.
        """
        loss: Tensor = self._parts.loss(self.network(batch.image), batch.target)
        if not torch.isfinite(loss):
            raise divergence_error(self, "nnU-Net's loss", loss, "lower nnunet.learning_rate")
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.image))
        self._losses["train"].append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin counting anew."""
        self._losses["validation"].clear()
        self._counts = torch.zeros(3, len(self._names), device=self.device)

    def validation_step(self, batch: Batch, _: int = 0) -> None:
        """Count true positive, false positive and false negative pixels of each class, unknown ones left out."""
        outputs = self.network(batch.image)
        self._losses["validation"].append(self._parts.loss(outputs, batch.target))
        found, truth = outputs[0].argmax(1), batch.target[0][:, 0]
        if self._parts.ignore_label is not None:
            known = truth != self._parts.ignore_label
            found, truth = found[known], truth[known]
        for place, name in enumerate(self._names):
            value = self._parts.labels[name]
            hit, true = found == value, truth == value
            counts = [(hit & true).sum(), (hit & ~true).sum(), (~hit & true).sum()]
            self._counts[:, place] += torch.stack(counts)

    def on_validation_epoch_end(self) -> None:
        """Log the pseudo-Dice over all devices; a class that is nowhere counts as not there."""
        counts = all_reduce_sum(self._counts)
        dice = 2 * counts[0] / (2 * counts[0] + counts[1] + counts[2])
        self.log("val/loss", self._mean_loss("validation"))
        self.log("val/pseudo_dice", torch.nan_to_num(dice.nanmean()), prog_bar=True)
        if len(self._names) > 1:
            named = zip(self._names, dice, strict=True)
            self.log_dict({f"val/pseudo_dice_{name}": torch.nan_to_num(value) for name, value in named})
        self._dice = dice.tolist()

    def on_train_epoch_end(self) -> None:
        """Keep the epoch's figures for nnU-Net's own checkpoints."""
        figures: dict[str, Any] = {
            "lrs": self._learning_rate(self.current_epoch),  # the optimizer has the next epoch's by now
            "train_losses": float(self._mean_loss("train")),
            "epoch_start_timestamps": self._started,
            "epoch_end_timestamps": time.time(),
        }
        if self._parts.has_validation:
            dice = torch.tensor(self._dice)
            figures["val_losses"] = float(self._mean_loss("validation"))
            figures["mean_fg_dice"] = float(torch.nan_to_num(dice.nanmean()))
            figures["dice_per_class_or_region"] = self._dice
        self._parts.record_epoch(self.current_epoch, figures)
        self._losses["train"].clear()

    def configure_optimizers(self) -> Any:
        """nnU-Net's SGD; the learning rate changes after each epoch."""
        optimizer = self._parts.optimizer()
        first = optimizer.param_groups[0]["lr"]
        schedule = LambdaLR(optimizer, lambda epoch: self._learning_rate(epoch) / first)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the figures of the epochs so far, and of the steps of one that is not done."""
        checkpoint["nnunet_history"] = self._parts.history
        checkpoint["nnunet_losses"] = self._over_devices(self._losses["train"]).tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the figures so far."""
        self._parts.history = checkpoint["nnunet_history"]
        self._losses["train"] = list(torch.tensor(checkpoint.get("nnunet_losses", [])))

    def _mean_loss(self, kind: str) -> Tensor:
        losses = self._over_devices(self._losses[kind])
        return losses.mean() if len(losses) else torch.zeros((), device=self.device)

    def _over_devices(self, losses: list[Tensor]) -> Tensor:
        """Losses of steps, each the mean over the devices."""
        own = (
            torch.stack([loss.to(self.device) for loss in losses])
            if losses
            else torch.zeros(0, device=self.device)
        )
        return all_reduce_sum(own) / self.trainer.world_size
