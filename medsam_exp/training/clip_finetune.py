"""Fine-tuning CLIP on image-text pairs under a Lightning Trainer."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.training.callbacks import divergence_error
from medsam_exp.training.gather import gather_rows
from medsam_exp.training.optimization import (
    OptimizerFactory,
    SchedulerFactory,
    optimizer_and_schedule,
    total_steps,
)
from medsam_exp.types import ContrastiveLoss, PairBatch, UserError

_COLLAPSED_SPREAD = 1e-3
"""Embeddings this close to each other carry nothing; a fresh network has ten times more."""
_GRACE_STEPS = 100
"""A fresh network may start with embeddings that are nearly alike; a quarter of a training at most."""


class ClipFinetuneModule(pl.LightningModule):
    """Trains a CLIP network on batches of matching image-text pairs; the other pairs of a batch are the negatives.

    With several devices the embeddings are gathered with their gradients, so that the result is that of one
    device with the whole batch. The loss owns the temperature; the network carries a copy (`logit_scale`).

    Args:
        clip: the network that is trained.
        loss: of B matching pairs; its own parameters, if any, are trained too.
        optimizer: parameter groups to an optimizer.
        scheduler: `(optimizer, total_steps=...)` to a schedule per step.
        seed: with epoch and batch it decides what dropout drops.
        chunk_size: images and texts of one device that pass a tower at a time, their activations computed again
            for the gradient (gradient caching, Gao 2021): the batch that is contrasted stays whole, the memory is
            that of a chunk. Not for networks whose batch norms are trained. None keeps all activations.
    """

    def __init__(
        self,
        clip: ClipModel,
        loss: ContrastiveLoss,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        seed: int,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.loss = loss
        self._optimizer, self._scheduler, self._seed = optimizer, scheduler, seed
        self._chunk_size = chunk_size
        self._collapse_told, self._grace_steps = False, _GRACE_STEPS
        for name, parameter in clip.named_parameters():
            if name.rpartition(".")[2] in ("logit_scale", "logit_bias"):  # the loss has its own
                parameter.requires_grad_(False)

    def on_fit_start(self) -> None:
        """Networks come from loading in evaluation mode, and Lightning leaves the mode alone.

        Raises:
            UserError: batch norms would see pieces of a batch.
        """
        self.train()
        _settle_batch_norms(self, self.clip, self._chunk_size)
        self._grace_steps = min(_GRACE_STEPS, total_steps(self.trainer) // 4)

    def on_train_batch_start(self, _: PairBatch, batch_idx: int) -> None:
        """Seed dropout by the batch, so that a resumed training drops what an undisturbed one would."""
        torch.manual_seed(derive_seed(self._seed, "dropout", self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: PairBatch, _: int = 0) -> Tensor:
        """Return the loss of one batch.

        Raises:
            UserError: the loss is not finite.
        """
        image_embedding, text_embedding = self._embed(batch)
        loss = self.loss(image_embedding, text_embedding)
        if not torch.isfinite(loss):
            remedy = "lower optimizer.lr or raise the loss's temperature"
            raise divergence_error(self, "The contrastive loss", loss, remedy)
        spreads = {"image": spread(image_embedding), "text": spread(text_embedding)}
        self._warn_of_collapse(spreads)
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log_dict({f"train/{kind}_spread": value for kind, value in spreads.items()})
        if (temperature := self._temperature()) is not None:
            self.log("train/temperature", temperature)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the network carry the temperature that it was trained with."""
        if (temperature := self._temperature()) is not None:
            with torch.no_grad():
                self.clip.logit_scale.copy_(-temperature.log())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Let go of the gradients at once; Lightning would keep them through the next forward pass."""
        super().optimizer_step(*args, **kwargs)
        self.zero_grad(set_to_none=True)

    def validation_step(self, batch: PairBatch, _: int = 0) -> None:
        """Log the loss and how often the right partner comes first."""
        real = self.trainer.datamodule.val_rows  # type: ignore[attr-defined]  # what follows is padding
        image_embedding, text_embedding = (embedding[:real] for embedding in self._embed(batch))
        tokens = gather_rows(batch.tokens)[:real]
        values = {
            "loss": self.loss(image_embedding, text_embedding),
            "top1_image_to_text": top1(image_embedding, text_embedding, tokens),
            "top1_text_to_image": top1(text_embedding, image_embedding, tokens),
            "image_spread": spread(image_embedding),
            "text_spread": spread(text_embedding),
        }
        self.log_dict(
            {f"val/{name}": value for name, value in values.items()}, batch_size=len(tokens), sync_dist=True
        )

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule over the network and the loss's own parameters."""
        return optimizer_and_schedule(self.trainer, [self], self._optimizer, self._scheduler)

    def _embed(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) of images and texts of the whole batch, over all devices."""
        image_embedding = _in_chunks(self.clip.encode_image, batch.image, self._chunk_size)
        text_embedding = _in_chunks(self.clip.encode_text, batch.tokens, self._chunk_size)
        return gather_rows(image_embedding), gather_rows(text_embedding)

    def _temperature(self) -> Tensor | None:
        temperature = getattr(self.loss, "temperature", None)
        return None if temperature is None else torch.as_tensor(temperature).detach()

    def _warn_of_collapse(self, spreads: dict[str, Tensor]) -> None:
        if self._collapse_told or self.global_step < self._grace_steps:
            return
        for kind, value in spreads.items():
            if value < _COLLAPSED_SPREAD:
                self._collapse_told = True
                rank_zero_warn(
                    f"The {kind} embeddings have collapsed at step {self.global_step}: they are all alike "
                    f"(mean cosine distance {value:.1e}), so nothing can be told apart; lower optimizer.lr."
                )


def _settle_batch_norms(module: pl.LightningModule, network: nn.Module, chunk_size: int | None) -> None:
    """Let frozen batch norms keep their statistics, and refuse trained ones that would not see the whole batch."""
    trained = []
    for name, part in network.named_modules():
        if isinstance(part, _BatchNorm):
            if any(parameter.requires_grad for parameter in part.parameters()) or not part.affine:
                trained.append((name, part))
            else:
                part.eval()
    if not trained:
        return
    found = (
        f"the CLIP has {len(trained)} batch norms to train, the first is {trained[0][0]}, and they take their "
        "statistics from the rows that pass together"
    )
    if chunk_size is not None:
        raise UserError(
            f"fit.chunk_size={chunk_size} passes a batch in pieces, but {found}, so the result would be another: set "
            "fit.chunk_size=null, or freeze that tower (adaptation=frozen_vision)"
        )
    devices = module.trainer.world_size
    if devices > 1 and not all(isinstance(part, nn.SyncBatchNorm) for _, part in trained):
        raise UserError(
            f"a batch is shared by {devices} devices, but {found}, so the result would be another: set "
            "trainer.sync_batchnorm=true (GPUs alone), take one device, or freeze that tower (adaptation=frozen_vision)"
        )


def _in_chunks(encode: Callable[[Tensor], Tensor], rows: Tensor, chunk_size: int | None) -> Tensor:
    """Encode rows chunk by chunk with gradient checkpointing, so that one chunk's activations are kept at most.

    Equal to one pass where rows do not influence each other, so without batch norms in training. Backwards each
    chunk is encoded again under its own random state, so that dropout drops the same.
    """
    if chunk_size is None:
        return encode(rows)
    return torch.cat([checkpoint(encode, chunk, use_reentrant=False) for chunk in rows.split(chunk_size)])


def spread(embedding: Tensor) -> Tensor:
    """Mean cosine distance between the rows of (B, D), B >= 2: 0 when all are alike, about 1 when random."""
    unit = normalize(embedding.detach().float(), dim=-1)
    count = len(unit)
    return 1 - (unit.sum(0).square().sum() - count) / (count * (count - 1))


def top1(query: Tensor, key: Tensor, tokens: Tensor) -> Tensor:
    """Share of queries whose nearest key has the right text; equal texts count as the same text.

    Args:
        query: (B, D) embeddings.
        key: (B, D) embeddings; row i belongs to query i.
        tokens: (B, L) texts of the pairs.
    """
    nearest = (normalize(query.float(), dim=-1) @ normalize(key.float(), dim=-1).T).argmax(1)
    return (tokens[nearest] == tokens).all(1).float().mean()
