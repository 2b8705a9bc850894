"""Presence features of batches of images and their texts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from medsam_exp.clip.model import ClipModel
from medsam_exp.masks.presence.features import match_features, paint_over_salient
from medsam_exp.runtime.finite import all_finite, not_finite
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.training.embeddings import TextEmbeddings, embed_images
from medsam_exp.training.prediction import ImageBatch
from medsam_exp.types import PresenceScorer, SaliencyMap


@dataclass
class PresenceFeatures:
    """Measures how well images match texts, with and without their salient region.

    Args:
        clip: the adapter of a CLIP model.
        scorer: has the texts to contrast with.
        texts: by sample id, then by label ("text", or a kind of control); several texts are averaged.
        maps: gives the saliency map (H, W) of a sample id and a label; called by several threads at once.
        threads: that make a batch's maps; 0 makes them in this one.
    """

    clip: ClipModel
    scorer: PresenceScorer
    texts: Mapping[str, Mapping[str, tuple[str, ...]]]
    maps: Callable[[str, str], SaliencyMap]
    threads: int = 0

    def __post_init__(self) -> None:
        self._embedded = TextEmbeddings(self.clip)

    def __call__(self, batch: ImageBatch) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
        """Each image's features by label and name.

        Raises:
            UserError: an embedding or a feature is not finite.
        """
        embeddings = self._images(batch.images, batch.ids)
        found: dict[str, dict[str, dict[str, float]]] = {sample_id: {} for sample_id in batch.ids}
        for label in self.texts[batch.ids[0]]:
            painted = self._images(paint_over_salient(batch.images, self._maps_of(batch, label)), batch.ids)
            for row, sample_id in enumerate(batch.ids):
                text = self._embedded.mean_of(self.texts[sample_id][label], batch.images.device)
                found[sample_id][label] = self._features(embeddings[row], painted[row], text)
        for sample_id, features in found.items():
            for label, values in features.items():
                if not all_finite(torch.tensor(list(values.values()))):
                    raise not_finite(f"presence features of {sample_id!r} ({label}: {values})", "CLIP")
            yield sample_id, features

    def _features(self, image: Tensor, painted: Tensor, text: Tensor) -> dict[str, float]:
        absence, nonsense = (
            torch.stack([self._embedded.mean_of((contrast,), image.device) for contrast in texts])
            for texts in (self.scorer.absence_texts, self.scorer.nonsense_texts)
        )
        scale = float(self.clip.logit_scale.detach().exp())
        features = match_features(image, text, absence, nonsense, scale)
        unit = normalize(text.double(), dim=-1)
        return features | {"similarity_drop": features["match"] - float(painted.double() @ unit)}

    def _images(self, images: Tensor, ids: tuple[str, ...]) -> Tensor:
        """Unit embeddings (B, D)."""
        return normalize(embed_images(self.clip, images, ids), dim=-1)

    def _maps_of(self, batch: ImageBatch, label: str) -> Tensor:
        """(B, h, w) maps in the frame of the network's input."""
        size, device = batch.images.shape[-2:], batch.images.device

        def squashed(sample_id: str) -> Tensor:
            map_ = torch.from_numpy(self.maps(sample_id, label)).to(device)
            return interpolate(map_[None, None], size=size, mode="bilinear", antialias=True)[0, 0]

        made = dict(zip(batch.ids, map_in_threads(squashed, batch.ids, self.threads), strict=True))
        return torch.stack([made[sample_id] for sample_id in batch.padded_ids])
