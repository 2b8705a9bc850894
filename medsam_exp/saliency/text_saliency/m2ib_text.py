"""M2IB on the text side: which words an image needs from its text (Wang 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.text_tower import TextTower, text_tower
from medsam_exp.saliency.bottleneck import Bottleneck, capacity, mean_similarity
from medsam_exp.saliency.method import frozen
from medsam_exp.types import UserError


@dataclass(frozen=True, kw_only=True)
class M2IBText(Bottleneck):
    """Multi-modal information bottleneck inside the text tower.

    As `saliency.m2ib.M2IB`, with the two sides exchanged: noise replaces as much of the text's tokens as its match
    with the image allows, and the information that must stay is the relevance of each token. Padding is left
    alone, and is not counted in the mean capacity; special tokens pass the bottleneck too, as information may flow
    through them.

    Args:
        layer: 0-based text block after which the bottleneck sits, -1 before the first; None for three quarters of
            the tower (9 of 12), but before its last block, where only the token that is read out would matter.

    The other arguments are those of `Bottleneck`.
    """

    group: ClassVar[str] = "text_saliency"
    layer: int | None

    def __call__(
        self,
        clip: ClipModel,
        ids: Tensor,
        real: Tensor,
        image_embedding: Tensor,
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Relevance of each token of each text to its own image; texts do not influence each other.

        Args:
            clip: given back as it was (mode, weights, gradients).
            ids: (B, L) int64 token ids, one text for each image.
            real: (B, L) bool, False for padding.
            image_embedding: (B, D), any length.
            generators: B generators; the i-th decides the noise of text i.

        Returns:
            (B, L) float32, nats summed over channels; >= 0, 0 for padding.

        Raises:
            UserError: the text tower has no such layer, or is of a kind that cannot be split.
        """
        tower = text_tower(clip.network)
        layer = self._layer_of(tower)
        with frozen(clip), torch.no_grad():
            tokens = tower.prefix(ids, layer)
            signal = tokens.float()
            repeated = ids.repeat_interleave(self.noise_samples, dim=0)

            def objective(alpha: Tensor, mixed: Tensor) -> Tensor:
                spared = torch.where(real[:, None, :, None], mixed, signal[:, None])  # padding stays as it is
                embedding = tower.suffix(spared.flatten(0, 1).to(tokens.dtype), repeated, layer)
                compression = _mean_capacity(alpha, signal, real)
                return self.beta * compression - mean_similarity(image_embedding, embedding)

            return capacity(self.optimize(signal, generators, objective), signal).sum(dim=-1) * real

    def _layer_of(self, tower: TextTower) -> int:
        if self.layer is None:
            return min(3 * tower.depth // 4, tower.depth - 2)
        if not -1 <= self.layer < tower.depth:
            raise UserError(
                f"text_saliency.layer={self.layer}, but the text tower has {tower.depth} layers, counted from 0 to "
                f"{tower.depth - 1}, and -1 for the tokens before them."
            )
        return self.layer


def _mean_capacity(alpha: Tensor, signal: Tensor, real: Tensor) -> Tensor:
    """Nats that pass for a token and channel, mean over those of each text that are not padding (B,)."""
    by_token = capacity(alpha, signal).mean(dim=-1)
    return (by_token * real).sum(dim=-1) / real.sum(dim=-1)
