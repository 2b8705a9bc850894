"""Saliency maps of many images under a Lightning Trainer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.finite import all_finite, first_broken_module, refuse_broken_rows
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.training.inference_data import ImageBatch
from medsam_exp.training.text_embeddings import TextEmbeddings
from medsam_exp.types import SaliencyMap


class SaliencyModule(pl.LightningModule):
    """Turns images and texts into saliency maps.

    Args:
        clip: the adapter of a CLIP model.
        method: turns images and text embeddings into relevance.
        texts: texts by sample id; the embeddings of several texts are averaged after normalisation.
        seed: with the sample's id it decides the noise of its map.
        save: receives (sample id, map (H, W) in [0, 1], original frame).
        see_relevance: is shown (sample id, relevance (gh, gw) float32 before it is scaled) just before `save`.

    Attributes:
        geometry: how the method wants images to enter the network and their maps to return.
    """

    def __init__(
        self,
        clip: ClipModel,
        method: SaliencyMethod,
        texts: Mapping[str, tuple[str, ...]],
        seed: int,
        save: Callable[[str, SaliencyMap], None],
        see_relevance: Callable[[str, NDArray[np.float32]], None] | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self._method, self._texts, self._seed, self._save = method, texts, seed, save
        self._see_relevance = see_relevance
        self.geometry = method.geometry(clip)
        self._embeddings = TextEmbeddings(clip)

    def predict_step(self, batch: ImageBatch, *_: Any) -> tuple[str, ...]:
        """Compute and save the maps of one batch; return its ids.

        Raises:
            UserError: a relevance is not finite; the other maps of the batch are saved.
        """
        ids = batch.padded_ids
        text_embedding = torch.stack(
            [self._embeddings.mean_of(self._texts[name], self.device) for name in ids]
        )
        generators = [torch_generator(self._seed, name, "saliency", device=self.device) for name in ids]
        with torch.enable_grad():
            relevance = self._method(self.clip, batch.images, text_embedding, generators)
        for sample_id, size, one in zip(batch.ids, batch.sizes, relevance, strict=False):
            if not all_finite(one):
                continue
            if self._see_relevance is not None:
                self._see_relevance(sample_id, one.detach().float().cpu().numpy())
            self._save(sample_id, self.geometry.to_original_frame(one.detach(), size))
        refuse_broken_rows(
            relevance,
            batch.ids,
            "the relevance",
            "CLIP",
            lambda: first_broken_module(self.clip, lambda: self.clip.encode_image(batch.images)),
        )
        return batch.ids

    def transfer_batch_to_device(self, batch: ImageBatch, device: torch.device, *_: Any) -> ImageBatch:
        """Move the images; ids and sizes stay."""
        return ImageBatch(batch.ids, batch.sizes, batch.images.to(device, non_blocking=True))
