"""Vision towers that can be run in two parts: up to a layer once, and from there on many times.

Shapes: B images, T tokens (CLS and its like, then gh * gw patches row by row), C channels, D embedding.
"""

from collections.abc import Iterable
from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer as OpenClipVit
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn

from medsam_exp.clip.blocks import (
    is_plain_open_clip_block,
    is_plain_timm_block,
    open_clip_block_for_cls,
    open_clip_block_with_attention,
    timm_block_for_cls,
    timm_block_with_attention,
)
from medsam_exp.clip.capabilities import Capability, VisionLayout, VisionTower
from medsam_exp.clip.conv_towers import ModifiedResNetTower, TimmMapTower, map_grid


class TimmTower(VisionTower):
    """A timm vision transformer, as in BiomedCLIP."""

    def __init__(self, visual: TimmModel) -> None:
        self._visual, self._trunk = visual, visual.trunk
        rows, columns = self._trunk.patch_embed.dynamic_feat_size(visual.image_size)
        self._grid = (rows, columns)
        self._reads_cls = self._trunk.attn_pool is None and self._trunk.global_pool == "token"
        self.prefix_tokens: int = self._trunk.num_prefix_tokens
        plain = self._trunk.attn_pool is None and all(map(is_plain_timm_block, self._trunk.blocks))
        super().__init__(_transformer_layout(self._trunk.blocks, self._reads_cls, plain))

    def grid_after(self, layer: int) -> tuple[int, int]:  # noqa: ARG002
        """(gh, gw) patches, the same after every block."""
        return self._grid

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer`."""
        tokens = self._embedded(images)
        for block in self._trunk.blocks[: layer + 1]:
            tokens = block(tokens)
        return tokens

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the tokens after `layer`; the last block is computed for CLS alone."""
        trunk = self._trunk
        blocks = list(trunk.blocks[layer + 1 :])
        shortcut = bool(blocks) and self._reads_cls and is_plain_timm_block(blocks[-1])
        for block in blocks[:-1] if shortcut else blocks:
            tokens = block(tokens)
        if shortcut:
            tokens = timm_block_for_cls(blocks[-1], tokens)
        result: Tensor = self._visual.head(trunk.forward_head(trunk.norm(tokens)))
        return result

    def forward_with_attention(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings (B, D), and the attention (B, heads, T, T) of each block, on which they depend.

        Raises:
            UserError: a block is not a plain one, so that its attention is unknown.
        """
        if "attention" not in self.layout.capabilities:
            raise self._refusal("attention")
        tokens, attention = self._embedded(images), []
        for block in self._trunk.blocks:
            tokens, paid = timm_block_with_attention(block, tokens)
            attention.append(paid)
        return self._visual.head(self._trunk.forward_head(self._trunk.norm(tokens))), attention

    def _embedded(self, images: Tensor) -> Tensor:
        trunk = self._trunk
        tokens: Tensor = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(images))))
        return tokens


class OpenClipTower(VisionTower):
    """open_clip's vision transformer, as in OpenAI's and LAION's models."""

    prefix_tokens = 1

    def __init__(self, visual: OpenClipVit) -> None:
        self._visual = visual
        rows, columns = visual.grid_size
        self._grid = (rows, columns)
        blocks = visual.transformer.resblocks
        plain = all(map(is_plain_open_clip_block, blocks))
        super().__init__(_transformer_layout(blocks, visual.pool_type == "tok", plain))

    def grid_after(self, layer: int) -> tuple[int, int]:  # noqa: ARG002
        """(gh, gw) patches, the same after every block."""
        return self._grid

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer`."""
        return self._through(self._visual.transformer.resblocks[: layer + 1], self._visual._embeds(images))

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the tokens after `layer`; the last block is computed for CLS alone."""
        visual = self._visual
        blocks = list(visual.transformer.resblocks[layer + 1 :])
        reads_cls = visual.pool_type == "tok"
        shortcut = bool(blocks) and reads_cls and is_plain_open_clip_block(blocks[-1])
        tokens = self._through(blocks[:-1] if shortcut else blocks, tokens)
        if shortcut:
            tokens = open_clip_block_for_cls(blocks[-1], tokens)
        return self._embedding(tokens)

    def forward_with_attention(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings (B, D), and the attention (B, heads, T, T) of each block, on which they depend.

        Raises:
            UserError: a block is not a plain one, so that its attention is unknown.
        """
        if "attention" not in self.layout.capabilities:
            raise self._refusal("attention")
        tokens, attention = self._visual._embeds(images), []
        for block in self._visual.transformer.resblocks:
            tokens, paid = open_clip_block_with_attention(block, tokens)
            attention.append(paid)
        return self._embedding(tokens), attention

    def _embedding(self, tokens: Tensor) -> Tensor:
        pooled, _ = self._visual._pool(tokens)
        result: Tensor = pooled if self._visual.proj is None else pooled @ self._visual.proj
        return result

    def _through(self, blocks: list[nn.Module] | nn.ModuleList, tokens: Tensor) -> Tensor:
        batch_first = self._visual.transformer.batch_first
        tokens = tokens if batch_first else tokens.transpose(0, 1)
        for block in blocks:
            tokens = block(tokens)
        return tokens if batch_first else tokens.transpose(0, 1)


def vision_tower(visual: nn.Module) -> VisionTower:
    """Wrap a vision network so that it can be split after a layer; unknown kinds refuse when they are split."""
    if isinstance(visual, TimmModel):
        if is_splittable_trunk(visual.trunk):
            return TimmTower(visual)
        grid = map_grid(visual)
        return (
            VisionTower(VisionLayout(type(visual.trunk).__name__))
            if grid is None
            else TimmMapTower(visual, grid)
        )
    if isinstance(visual, ModifiedResNet):
        return ModifiedResNetTower(visual)
    if isinstance(visual, OpenClipVit):
        if visual.attn_pool is not None or visual.pool_type == "none":
            return VisionTower(VisionLayout("VisionTransformer with attentional pooling"))
        return OpenClipTower(visual)
    return VisionTower(VisionLayout(type(visual).__name__))


def _transformer_layout(blocks: Iterable[Any], reads_cls: bool, plain: bool) -> VisionLayout:
    depth = len(list(blocks))
    capabilities: set[Capability] = {"features", "tokens", "attention"} if plain else {"features", "tokens"}
    last_layer = depth - 2 if reads_cls else depth - 1
    return VisionLayout("VisionTransformer", depth, last_layer, frozenset(capabilities))


def is_splittable_trunk(trunk: nn.Module) -> bool:
    """Whether a timm network runs as timm's plain vision transformer does."""
    kind: Any = type(trunk)
    return (
        isinstance(trunk, TimmVit)
        and kind.forward_features is TimmVit.forward_features
        and kind.forward is TimmVit.forward
    )
