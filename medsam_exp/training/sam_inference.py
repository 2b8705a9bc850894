"""SAM masks of many images under a Lightning Trainer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from medsam_exp.runtime.finite import all_finite, first_broken_module, not_finite, refuse_broken_rows
from medsam_exp.sam.model import SamModel
from medsam_exp.training.inference_data import EmbeddingBatch, ImageBatch
from medsam_exp.types import Mask, MaskFusion, Prompts


@dataclass(frozen=True)
class SamAnswer:
    """Prediction of SAM for one image.

    Attributes:
        mask: (H, W) bool, original frame, the masks of all N prompts united.
        iou_predictions: N, what the network expects of each prompt's mask.
        proposal_iou_predictions: N x M, what it expects of each mask before fusion.
    """

    mask: Mask
    iou_predictions: list[float]
    proposal_iou_predictions: list[list[float]]


class SamEncoder(pl.LightningModule):
    """Embeds images, for prompts that come later.

    Args:
        sam: the network.
        save: receives (sample id, (C, g, g) float32 embedding).
    """

    def __init__(self, sam: SamModel, save: Callable[[str, NDArray[np.float32]], None]) -> None:
        super().__init__()
        self.sam = sam
        self._save = save

    def predict_step(self, batch: ImageBatch, *_: Any) -> tuple[str, ...]:
        """Encode a batch of images and save their embeddings; return its ids.

        Raises:
            UserError: an embedding is not finite.
        """
        embeddings = encode(self.sam, batch).float().cpu().numpy()
        for sample_id, embedding in zip(batch.ids, embeddings, strict=False):
            self._save(sample_id, embedding)
        return batch.ids


class SamModule(pl.LightningModule):
    """Turns images and visual prompts into masks; the masks of several prompts are united.

    Takes batches of images, or of embeddings that were stored.

    Args:
        sam: the network.
        fusion: makes one mask of those that the network gives for one prompt.
        prompts: at least one prompt for each sample id.
        save: receives (sample id, answer).
    """

    def __init__(
        self,
        sam: SamModel,
        fusion: MaskFusion,
        prompts: Mapping[str, Prompts],
        save: Callable[[str, SamAnswer], None],
    ) -> None:
        super().__init__()
        self.sam = sam
        self._fusion, self._prompts, self._save = fusion, prompts, save

    def predict_step(self, batch: ImageBatch | EmbeddingBatch, *_: Any) -> tuple[str, ...]:
        """Encode a batch of images, decode the prompts of each and save the masks; return its ids.

        Raises:
            UserError: an embedding, a mask's logit or an expected IoU is not finite.
        """
        if isinstance(batch, ImageBatch):
            batch = EmbeddingBatch(batch.ids, batch.sizes, tuple(encode(self.sam, batch)))
        for sample_id, size, embedding in zip(batch.ids, batch.sizes, batch.embeddings, strict=False):
            prompts = self._prompts[sample_id]
            self._save(sample_id, answer_prompts(self.sam, self._fusion, embedding, prompts, size, sample_id))
        return batch.ids


def encode(sam: SamModel, batch: ImageBatch) -> torch.Tensor:
    """Embeddings (B, C, g, g) of a batch.

    Raises:
        UserError: one is not finite; names the sample and where in the network it happened.
    """
    embeddings = sam.encode(batch.images)
    refuse_broken_rows(
        embeddings,
        batch.ids,
        "the image embedding",
        "SAM",
        lambda: first_broken_module(sam, lambda: sam.encode(batch.images)),
    )
    return embeddings


def answer_prompts(
    sam: SamModel,
    fusion: MaskFusion,
    embedding: torch.Tensor,
    prompts: Prompts,
    size: tuple[int, int],
    sample_id: str = "",
) -> SamAnswer:
    """Decode the prompts of one image one by one, fuse the masks of each, unite the fused ones.

    Args:
        sam: the network.
        fusion: acts per prompt, before prompts are united.
        embedding: (C, g, g) of the image.
        prompts: N prompts, original frame.
        size: (H, W) of the image.
        sample_id: of the image, to be named in errors.

    Raises:
        UserError: a mask's logit or an expected IoU is not finite.
    """
    united = torch.zeros(size, dtype=torch.bool, device=embedding.device)
    fused_iou, proposal_iou = [], []
    for logits, iou_predictions in sam.decode(embedding, prompts, size, multimask=fusion.multimask):
        if not (all_finite(logits) and all_finite(iou_predictions)):
            raise not_finite(f"a mask of {sample_id!r}, or its expected IoU,", "SAM")
        mask, iou = fusion(logits, iou_predictions)
        united |= mask
        fused_iou.append(iou)
        proposal_iou.append([float(value) for value in iou_predictions.cpu()])
    return SamAnswer(united.cpu().numpy(), fused_iou, proposal_iou)
