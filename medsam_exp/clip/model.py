"""Adapter over every CLIP model of open_clip: encode images and texts, and split the vision tower after a layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.utils import to_2tuple
from torch import Tensor, nn

from medsam_exp.clip.blocks import PlainBlock
from medsam_exp.clip.capabilities import Capability
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
        saliency_layer: 0-based vision block after which saliency methods look, unless told otherwise; None for three
            quarters of the depth.
        interpolation: of images that are brought to the network's size, bicubic or bilinear.

    Attributes:
        preprocess: `(image (H, W, 3) uint8 RGB) -> (3, h, w) float32`, squashed, standardised.
        image_size: h, the height of the network's input in pixels.
        layout: how the vision tower is built and what it can do for saliency methods.
        depth: number of vision layers; 0 when the vision tower cannot be split.
        grid: (gh, gw) patches after the last layer.
        prefix_tokens: tokens before the patches (1 for CLS).
        embed_dim: D.

    Example:
        >>> from medsam_exp import load_clip
        >>> clip = load_clip("tiny")
        >>> clip.embed_dim, clip.preprocess.size
        (128, (96, 96))
    """

    def __init__(
        self,
        network: CLIP | CustomTextCLIP,
        tokenizer: Tokenizer,
        model_cfg: Mapping[str, Any],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        saliency_layer: int | None,
        interpolation: str = "bicubic",
    ) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.model_cfg = dict(model_cfg)
        self._tower = vision_tower(network.visual)
        height, width = to_2tuple(network.visual.image_size)
        self.preprocess = Preprocess(
            (height, width), tuple(map(float, mean)), tuple(map(float, std)), interpolation
        )
        self.image_size = height
        self.layout = self._tower.layout
        self.depth, self.prefix_tokens = self.layout.depth, self._tower.prefix_tokens
        self.grid = self._tower.grid_after(self.layout.last_layer)
        self.embed_dim = int(model_cfg["embed_dim"])
        self.saliency_layer = self.layout.three_quarters if saliency_layer is None else saliency_layer

    @property
    def logit_scale(self) -> nn.Parameter:
        """Logarithm of the inverse temperature the model was trained with."""
        result: nn.Parameter = self.network.logit_scale
        return result

    @property
    def _dtype(self) -> torch.dtype:
        """What the vision tower computes in."""
        result: torch.dtype = next(self.network.visual.parameters()).dtype
        return result

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids (K, L) int64 of K texts, cut or padded to the model's context length."""
        return self.tokenizer(list(texts))

    def encode_image(self, images: Tensor) -> Tensor:
        """Un-normalised embeddings (B, D) of preprocessed images (B, 3, h, w)."""
        result: Tensor = self.network.encode_image(images.to(self._dtype))
        return result

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Un-normalised embeddings (K, D) of token ids (K, L)."""
        result: Tensor = self.network.encode_text(tokens)
        return result

    def require(self, needs: Capability | None, who: str) -> None:
        """Refuse a saliency method that the vision tower cannot serve.

        Raises:
            UserError: why not.
        """
        if sentence := self.layout.refusal(needs, who):
            raise UserError(f"{sentence}.")

    def patch_layer(self, layer: int | None) -> int:
        """The 0-based layer after which to look at patches; None means the last that decides the embedding.

        Raises:
            UserError: there is no such layer, or its patches reach nothing.
        """
        if layer is None:
            return self.layout.last_layer
        if problem := self.layout.layer_problem(layer):
            raise UserError(f"layer {layer} is asked for (saliency.layer), but the vision tower {problem}.")
        return layer

    def grid_after(self, layer: int) -> tuple[int, int]:
        """Patch grid (gh, gw) after a 0-based layer; it differs between layers in convolutional networks only."""
        return self._tower.grid_after(layer)

    def vision_attention(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Un-normalised embeddings (B, D) of images (B, 3, h, w), and the attention that made them.

        Returns:
            Embeddings equal to `encode_image`, and for each block (B, heads, T, T), rows by query, each summing to
            1; the embeddings depend on them, so that gradients can be taken.

        Raises:
            UserError: the tower has no attention maps among its patches.
        """
        return self._tower.forward_with_attention(images.to(self._dtype))

    def vision_entering(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) of images (B, 3, h, w) that enter the 0-based vision layer `layer`.

        Raises:
            UserError: the tower is no plain vision transformer, as below.
        """
        return self._tower.entering(images.to(self._dtype), layer)

    def vision_from(self, tokens: Tensor, layer: int) -> Tensor:
        """Un-normalised embeddings (B, D) of tokens (B, T, C), or some of them, that enter the 0-based layer."""
        return self._tower.suffix(tokens, layer - 1)

    def block(self, layer: int) -> PlainBlock:
        """A 0-based vision layer in parts: its queries, keys and values, and what it makes of another attention.

        Raises:
            UserError: the tower has no blocks of the usual kind, as below.
        """
        return self._tower.block(layer)

    def pooled(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Un-normalised embeddings (B, D) of the tokens (B, T, C) after any vision layer.

        Pooled as the network pools its last tokens; where it reads a class token, the mean of all stands for that.
        The second is the attention that pools them (B, heads, latents, T), on which they depend; None where no
        attention pools.
        """
        return self._tower.pooled(tokens)

    def patch_embeddings(self, tokens: Tensor) -> Tensor:
        """Un-normalised embeddings (B, gh * gw, D) of each patch by itself, of tokens that enter the last layer.

        Where the network reads a class token, its last layer brings no patch to the space of the texts: there each
        patch attends to itself alone, the value path of MaskCLIP, and is projected as the class token is.
        """
        return self._tower.patch_embeddings(tokens)

    def embedded_alone(self, tokens: Tensor) -> Tensor:
        """Un-normalised embeddings (B, gh * gw, D) of each patch by itself, of tokens (B, T, C) after the last layer.

        Each patch as if the image held nothing else: normed, pooled and projected alone.
        """
        return self._tower.embedded_alone(tokens)

    def vision_prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based vision layer `layer` of images (B, 3, h, w).

        T = prefix_tokens + gh * gw; the patches follow row by row.

        Raises:
            UserError: the tower has no such layer, or is of a kind that cannot be split.
        """
        self._check(layer)
        return self._tower.prefix(images.to(self._dtype), layer)

    def vision_suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Un-normalised embeddings (B, D) of tokens (B, T, C) taken after layer `layer`.

        With `vision_prefix` before it, equal to `encode_image`.

        Raises:
            UserError: the tower has no such layer, or is of a kind that cannot be split.
        """
        self._check(layer)
        return self._tower.suffix(tokens, layer)

    def _check(self, layer: int) -> None:
        if self.depth and not 0 <= layer < self.depth:
            problem = self.layout.layer_problem(layer)
            raise UserError(f"layer {layer} is asked for (saliency.layer), but the vision tower {problem}.")
