"""SAM masks of many images under a Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from medsam_exp.lightning.inference_data import ImageBatch
from medsam_exp.types import Mask, Prompts


class SamModule(pl.LightningModule):
    """Turns images and visual prompts into masks; the masks of several prompts are united.

    Args:
        sam: the adapter of a SAM model.
        prompts: at least one prompt for each sample id.
        save: receives (sample id, mask (H, W), predicted IoU of each prompt).
    """

    def __init__(
        self,
        sam: torch.nn.Module,
        prompts: Mapping[str, Prompts],
        save: Callable[[str, Mask, list[float]], None],
    ) -> None:
        super().__init__()
        self.sam = sam
        self._prompts, self._save = prompts, save

    def predict_step(self, batch: ImageBatch, *_: Any) -> tuple[str, ...]:
        """Encode a batch of images, decode the prompts of each and save the masks; return its ids."""
        embeddings = self.sam.encode(batch.images)  # type: ignore[operator]
        for sample_id, size, embedding in zip(batch.ids, batch.sizes, embeddings, strict=False):
            logits, iou = self.sam.decode(embedding, self._prompts[sample_id], size)  # type: ignore[operator]
            mask = (logits > 0).any(0).cpu().numpy()
            self._save(sample_id, mask, [float(value) for value in iou.float().cpu()])
        return batch.ids

    def transfer_batch_to_device(self, batch: ImageBatch, device: torch.device, *_: Any) -> ImageBatch:
        """Move the images; ids and sizes stay."""
        return ImageBatch(batch.ids, batch.sizes, batch.images.to(device, non_blocking=True))
