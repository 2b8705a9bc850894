"""Training a (small) SAM on visual prompts under a Lightning Trainer."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, mse_loss

from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.training.callbacks import divergence_error
from medsam_exp.training.gather import gather_rows
from medsam_exp.training.optimization import OptimizerFactory, SchedulerFactory, optimizer_and_schedule
from medsam_exp.training.sam_data import MaskPromptBatch


class SamTrainingModule(pl.LightningModule):
    """Teaches a SAM to return the object that a rough box, some points, or both mean; a box where it takes no points.

    Each image is encoded once and decoded once per kind of prompt. The loss compares logits brought to the
    input's size (as for inference) with the true mask: cross entropy + Dice, and the squared error of the
    predicted IoU.

    Args:
        sam: the network that is trained, all of it.
        optimizer: parameter groups to an optimizer.
        scheduler: `(optimizer, total_steps=...)` to a schedule per step.
    """

    def __init__(
        self, sam: PromptableModel, optimizer: OptimizerFactory, scheduler: SchedulerFactory
    ) -> None:
        super().__init__()
        self.sam = sam
        for part in self.sam.untrained:
            part.requires_grad_(False)
        self._optimizer, self._scheduler = optimizer, scheduler

    def on_fit_start(self) -> None:
        """Networks come from loading in evaluation mode, and Lightning leaves the mode alone."""
        self.train()
        for module in self.sam.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # its statistics are of many more images than these

    def training_step(self, batch: MaskPromptBatch, _: int = 0) -> Tensor:
        """Return the mean loss over the kinds of prompts.

        Raises:
            UserError: the loss is not finite.
        """
        loss = torch.stack(
            [mask_loss(*decoded, batch.mask) for decoded in self._decode(batch).values()]
        ).mean()
        if not torch.isfinite(loss):
            raise divergence_error(self, "The mask loss", loss, "lower optimizer.lr")
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: MaskPromptBatch, _: int = 0) -> None:
        """Log loss and overlap with the truth for each kind of prompt."""
        for kind, (logits, iou_prediction) in self._decode(batch).items():
            images = zip(logits.split(1), iou_prediction.split(1), batch.mask.split(1), strict=True)
            by_image = {
                "loss": torch.stack([mask_loss(*image) for image in images]),
                "dsc": dice(logits > 0, batch.mask),
            }
            real = self.trainer.datamodule.val_rows  # type: ignore[attr-defined]  # what follows is padding
            self.log_dict(
                {f"val/{name}_{kind}": gather_rows(v)[:real].mean() for name, v in by_image.items()},
                batch_size=real,
                sync_dist=True,
            )

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule over the whole network."""
        return optimizer_and_schedule(self.trainer, [self.sam], self._optimizer, self._scheduler)

    def _decode(self, batch: MaskPromptBatch) -> dict[str, tuple[Tensor, Tensor]]:
        """Mask logits (B, S, S) and predicted IoU (B,) for each kind of prompt."""
        embeddings = self.sam.encode(batch.image)
        points = {"points": batch.points, "labels": batch.point_labels}
        kinds: dict[str, dict[str, Any]] = {
            "box": {"boxes": batch.boxes},
            "points": {"boxes": None, **points},
            "both": {"boxes": batch.boxes, **points},
        }
        if not self.sam.framing.takes_points:
            kinds = {"box": kinds["box"]}
        decoded = {}
        for kind, prompts in kinds.items():
            low_res, iou_prediction = self.sam.decode_low_res(embeddings, **prompts)
            logits = interpolate(low_res.float(), batch.mask.shape[-2:], mode="bilinear", align_corners=False)
            decoded[kind] = logits[:, 0], iou_prediction[:, 0]
        return decoded


def mask_loss(logits: Tensor, iou_prediction: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy + soft Dice + squared error of the predicted IoU, mean over the batch.

    Args:
        logits: (B, S, S).
        iou_prediction: (B,), the network's own guess of its IoU.
        mask: (B, S, S) float in {0, 1}.
    """
    soft = 1 - dice(logits.sigmoid(), mask).mean()
    overlap = dice(logits.detach() > 0, mask)
    iou = overlap / (2 - overlap)
    return binary_cross_entropy_with_logits(logits, mask) + soft + mse_loss(iou_prediction.float(), iou)


def dice(prediction: Tensor, mask: Tensor) -> Tensor:
    """Dice overlap (B,) in [0, 1] of (B, S, S) masks, hard or soft; two empty masks overlap fully."""
    prediction = prediction.float()
    shared = (prediction * mask).sum((1, 2))
    return (2 * shared + 1) / (prediction.sum((1, 2)) + mask.sum((1, 2)) + 1)
