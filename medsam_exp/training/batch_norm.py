"""Batch normalisation in a training: exact only where a whole batch passes together, or where it is frozen."""

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medsam_exp.types import UserError


def settle_batch_norms(module: pl.LightningModule, network: nn.Module, chunk_size: int | None) -> None:
    """Let frozen batch norms keep their statistics, and refuse trained ones that would not see the whole batch.

    Args:
        module: whose Trainer says how many devices share a batch.
        network: in training mode, with frozen parameters switched off.
        chunk_size: rows that pass at a time; None for all rows of a device.

    Raises:
        UserError: chunks or devices would normalise parts of the batch by their own means and variances.
    """
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
