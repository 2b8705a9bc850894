"""One face for every CLIP model: encode, and split the vision tower after a layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.clip.towers import vision_tower
from medsam_exp.types import UserError

Tokenizer = Callable[[list[str]], Tensor]
"""Texts to (K, L) int64 token ids."""


class ClipModel(nn.Module):
    """A CLIP model of open_clip.

    Args:
        network: open_clip's model.
        tokenizer: open_clip's tokenizer of that model.
        model_cfg: open_clip's description of the network (`embed_dim`, `vision_cfg`, `text_cfg`, ...).
        mean: of red, green, blue in [0, 1], to be subtracted from images.
        std: of red, green, blue, to divide by.
        saliency_layer: 0-based vision block after which saliency methods look, unless told otherwise.

    Attributes:
        preprocess: `(image (H, W, 3) uint8 RGB) -> (3, h, w) float32`, squashed, standardised.
        image_size: h, the height of the network's input in pixels.
        depth: number of vision blocks; 0 when the vision tower cannot be split.
        grid: (gh, gw) patches.
        prefix_tokens: tokens before the patches (1 for CLS).
        embed_dim: D.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        model_cfg: Mapping[str, Any],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        saliency_layer: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.model_cfg = dict(model_cfg)
        visual: Any = network.visual
        self._tower = vision_tower(visual)
        height, width = _pair(visual.image_size)
        self.preprocess = Preprocess((height, width), _triple(mean), _triple(std))
        self.image_size = height
        self.depth, self.grid, self.prefix_tokens = (
            self._tower.depth,
            self._tower.grid,
            self._tower.prefix_tokens,
        )
        self.embed_dim = int(model_cfg["embed_dim"])
        self.saliency_layer = saliency_layer

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the inverse temperature the model was trained with."""
        return self.network.logit_scale  # type: ignore[return-value]

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids (K, L) int64 of K texts, cut or padded to the model's context length."""
        return self.tokenizer(list(texts))

    def encode_image(self, images: Tensor) -> Tensor:
        """Un-normalised embeddings (B, D) of preprocessed images (B, 3, h, w)."""
        return self.network.encode_image(images)  # type: ignore[operator]

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Un-normalised embeddings (K, D) of token ids (K, L)."""
        return self.network.encode_text(tokens)  # type: ignore[operator]

    def vision_prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based vision block `layer` of images (B, 3, h, w).

        T = prefix_tokens + gh * gw; the patches follow row by row.

        Raises:
            UserError: the tower has no such layer, or is of a kind that cannot be split.
        """
        self._check(layer)
        return self._tower.prefix(images, layer)

    def vision_suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Un-normalised embeddings (B, D) of tokens (B, T, C) taken after block `layer`.

        With `vision_prefix` before it, equal to `encode_image`.

        Raises:
            UserError: the tower has no such layer, or is of a kind that cannot be split.
        """
        self._check(layer)
        return self._tower.suffix(tokens, layer)

    def _check(self, layer: int) -> None:
        if self.depth and not 0 <= layer < self.depth:
            raise UserError(
                f"layer {layer} is asked for (saliency.layer), but the vision tower has {self.depth} layers, "
                f"counted from 0 to {self.depth - 1}."
            )


def _pair(size: Any) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
