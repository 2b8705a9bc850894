"""Saliency maps of batches of images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.runtime.finite import all_finite, first_broken_module, refuse_broken_rows
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.saliency.geometry import Geometry
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.training.embeddings import TextEmbeddings
from medsam_exp.training.prediction import ImageBatch
from medsam_exp.types import SaliencyMap


@dataclass(frozen=True)
class SaliencyResult:
    """Saliency of one image under one text.

    Attributes:
        grid: (gh, gw) float32 or float64, relevance as the method gave it.
        geometry: brings it to the original frame.
        size: (H, W) of the original frame.
    """

    grid: NDArray[np.floating[Any]]
    geometry: Geometry
    size: tuple[int, int]

    @property
    def relevance(self) -> NDArray[np.float32]:
        """(gh, gw), before it is scaled."""
        return self.grid.astype(np.float32, copy=False)

    @cached_property
    def saliency_map(self) -> SaliencyMap:
        """(H, W) in [0, 1], original frame; made when it is first asked for."""
        return self.geometry.to_original_frame(torch.from_numpy(self.grid), self.size)


@dataclass
class ImageSaliency:
    """Computes the saliency map of each image under each kind of text.

    All kinds of text see the same noise, as it is decided by seed and sample id; so only the text moves the map.

    Args:
        clip: the adapter of a CLIP model.
        method: turns images and text embeddings into relevance.
        texts: by kind, then by sample id; the embeddings of several texts are averaged after normalisation.
        seed: with the sample's id it decides the noise of its maps.

    Attributes:
        geometry: how the method wants images to enter the network and their maps to return.
    """

    clip: ClipModel
    method: SaliencyMethod
    texts: Mapping[str, Mapping[str, tuple[str, ...]]]
    seed: int
    geometry: Geometry = field(init=False)

    def __post_init__(self) -> None:
        self.geometry = self.method.geometry(self.clip)
        self._embeddings = TextEmbeddings(self.clip)

    def __call__(self, batch: ImageBatch) -> Iterator[tuple[str, dict[str, SaliencyResult]]]:
        """Each image's results by kind of text.

        Raises:
            UserError: a relevance is not finite; comes after the results of the batch's other images.
        """
        by_kind = {kind: self._relevance(batch, texts) for kind, texts in self.texts.items()}
        for row, (sample_id, size) in enumerate(zip(batch.ids, batch.sizes, strict=True)):
            relevance = {kind: rows[row] for kind, rows in by_kind.items()}
            if all(map(all_finite, relevance.values())):
                yield sample_id, {kind: self._result(one, size) for kind, one in relevance.items()}
        for rows in by_kind.values():
            refuse_broken_rows(
                rows,
                batch.ids,
                "the relevance",
                "CLIP",
                lambda: first_broken_module(self.clip, lambda: self.clip.encode_image(batch.images)),
            )

    def _relevance(self, batch: ImageBatch, texts: Mapping[str, tuple[str, ...]]) -> Tensor:
        """Relevance (B, gh, gw) of each image to its texts."""
        ids, device = batch.padded_ids, batch.images.device
        text_embedding = torch.stack([self._embeddings.mean_of(texts[name], device) for name in ids])
        generators = [torch_generator(self.seed, name, "saliency", device=device) for name in ids]
        with torch.enable_grad():
            return self.method(self.clip, batch.images, text_embedding, generators).detach()

    def _result(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyResult:
        exact = relevance if relevance.dtype == torch.float64 else relevance.float()
        return SaliencyResult(exact.cpu().numpy(), self.geometry, size)
