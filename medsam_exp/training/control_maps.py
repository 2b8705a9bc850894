"""Saliency maps of many images, each under several texts, under a Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from medsam_exp.training.inference_data import ImageBatch
from medsam_exp.training.saliency import SaliencyModule


class ControlMapsModule(pl.LightningModule):
    """Hands each batch of images to one saliency module per kind of text.

    All kinds see the same noise, as it is decided by seed and sample id; so only the text moves the map.

    Args:
        modules: by kind, sharing one CLIP model; they save their maps themselves.
        finish: told the ids whose maps of all kinds are there.
    """

    def __init__(
        self, modules: Mapping[str, SaliencyModule], finish: Callable[[tuple[str, ...]], None]
    ) -> None:
        super().__init__()
        self.kinds = torch.nn.ModuleDict(modules)
        self._finish = finish

    def predict_step(self, batch: ImageBatch, *_: Any) -> tuple[str, ...]:
        """Compute the maps of one batch under all texts; return its ids."""
        for module in self.kinds.values():
            module.predict_step(batch)  # type: ignore[operator]
        self._finish(batch.ids)
        return batch.ids

    def transfer_batch_to_device(self, batch: ImageBatch, device: torch.device, *_: Any) -> ImageBatch:
        """Move the images; ids and sizes stay."""
        return ImageBatch(batch.ids, batch.sizes, batch.images.to(device, non_blocking=True))
