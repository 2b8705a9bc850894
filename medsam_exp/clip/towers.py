"""Vision towers that can be run in two parts: up to a layer once, and from there on many times.

Shapes: B images, T tokens (CLS and its like, then gh * gw patches row by row), C channels, D embedding.
"""

from typing import Any, Protocol

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock
from open_clip.transformer import VisionTransformer as OpenClipVit
from timm.layers import Attention
from timm.models.vision_transformer import Block
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from medsam_exp.types import UserError


class VisionTower(Protocol):
    """A vision network seen as: tokens, a stack of blocks, a head.

    Attributes:
        depth: number of blocks; 0 when the network cannot be split.
        grid: (gh, gw) patches.
        prefix_tokens: tokens before the patches (1 for CLS).
    """

    depth: int
    grid: tuple[int, int]
    prefix_tokens: int

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer` of images (B, 3, h, w)."""
        ...

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Un-normalised embeddings (B, D) of tokens (B, T, C) taken after the 0-based block `layer`."""
        ...


class TimmTower:
    """A timm vision transformer, as in BiomedCLIP."""

    def __init__(self, visual: TimmModel) -> None:
        self._visual, self._trunk = visual, visual.trunk
        self.depth = len(self._trunk.blocks)
        rows, columns = self._trunk.patch_embed.dynamic_feat_size(visual.image_size)
        self.grid = (rows, columns)
        self.prefix_tokens: int = self._trunk.num_prefix_tokens

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer`."""
        trunk = self._trunk
        tokens = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(images))))
        for block in trunk.blocks[: layer + 1]:
            tokens = block(tokens)
        return tokens

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the tokens after `layer`; the last block is computed for CLS alone."""
        trunk = self._trunk
        blocks = list(trunk.blocks[layer + 1 :])
        reads_cls = trunk.attn_pool is None and trunk.global_pool == "token"
        shortcut = bool(blocks) and reads_cls and _is_plain_timm_block(blocks[-1])
        for block in blocks[:-1] if shortcut else blocks:
            tokens = block(tokens)
        if shortcut:
            tokens = timm_block_for_cls(blocks[-1], tokens)
        return self._visual.head(trunk.forward_head(trunk.norm(tokens)))


class OpenClipTower:
    """open_clip's own vision transformer, as in OpenAI's and LAION's models."""

    prefix_tokens = 1

    def __init__(self, visual: OpenClipVit) -> None:
        self._visual = visual
        self.depth = len(visual.transformer.resblocks)
        rows, columns = visual.grid_size
        self.grid = (rows, columns)

    def prefix(self, images: Tensor, layer: int) -> Tensor:
        """Tokens (B, T, C) after the 0-based block `layer`."""
        return self._through(self._visual.transformer.resblocks[: layer + 1], self._visual._embeds(images))

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:
        """Embeddings (B, D) from the tokens after `layer`; the last block is computed for CLS alone."""
        visual = self._visual
        blocks = list(visual.transformer.resblocks[layer + 1 :])
        reads_cls = visual.pool_type == "tok"
        shortcut = bool(blocks) and reads_cls and type(blocks[-1]) is ResidualAttentionBlock
        tokens = self._through(blocks[:-1] if shortcut else blocks, tokens)
        if shortcut:
            tokens = open_clip_block_for_cls(blocks[-1], tokens)
        pooled, _ = visual._pool(tokens)
        return pooled if visual.proj is None else pooled @ visual.proj

    def _through(self, blocks: list[nn.Module] | nn.ModuleList, tokens: Tensor) -> Tensor:
        batch_first = self._visual.transformer.batch_first
        tokens = tokens if batch_first else tokens.transpose(0, 1)
        for block in blocks:
            tokens = block(tokens)
        return tokens if batch_first else tokens.transpose(0, 1)


class WholeTower:
    """A vision network that encodes images but cannot be split."""

    depth = 0
    grid = (0, 0)
    prefix_tokens = 0

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def prefix(self, images: Tensor, layer: int) -> Tensor:  # noqa: ARG002
        """Refuse, and name what is supported."""
        raise self._refusal()

    def suffix(self, tokens: Tensor, layer: int) -> Tensor:  # noqa: ARG002
        """Refuse, and name what is supported."""
        raise self._refusal()

    def _refusal(self) -> UserError:
        return UserError(
            f"clip.model has a vision tower of kind {self._kind}, which cannot be split at a layer; use "
            "one with a timm VisionTransformer or open_clip's VisionTransformer without attentional pooling."
        )


def vision_tower(visual: nn.Module) -> VisionTower:
    """The tower that knows how to split `visual`, or one that refuses to."""
    if isinstance(visual, TimmModel):
        return (
            TimmTower(visual)
            if is_splittable_trunk(visual.trunk)
            else WholeTower(type(visual.trunk).__name__)
        )
    if isinstance(visual, OpenClipVit):
        if visual.attn_pool is not None or visual.pool_type == "none":
            return WholeTower("VisionTransformer with attentional pooling")
        return OpenClipTower(visual)
    return WholeTower(type(visual).__name__)


def is_splittable_trunk(trunk: nn.Module) -> bool:
    """Whether a timm network runs as timm's plain vision transformer does."""
    kind: Any = type(trunk)
    return (
        isinstance(trunk, TimmVit)
        and kind.forward_features is TimmVit.forward_features
        and kind.forward is TimmVit.forward
    )


def _is_plain_timm_block(block: Any) -> bool:
    return type(block) is Block and type(block.attn) is Attention and type(block.attn.qkv) is nn.Linear


def timm_block_for_cls(block: Block, tokens: Tensor) -> Tensor:
    """First output token (B, 1, C) of a timm block: queries and MLP of CLS alone, keys and values of all."""
    attention = block.attn
    channels = tokens.shape[-1]
    normed = block.norm1(tokens)
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query_bias, rest_bias = (None, None) if bias is None else (bias[:channels], bias[channels:])
    query = attention.q_norm(
        _heads(linear(normed[:, :1], weight[:channels], query_bias), attention.num_heads)
    )
    keys, values = linear(normed, weight[channels:], rest_bias).chunk(2, dim=-1)
    mixed = scaled_dot_product_attention(
        query,
        attention.k_norm(_heads(keys, attention.num_heads)),
        _heads(values, attention.num_heads),
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
    )
    attended = attention.norm(mixed.transpose(1, 2).flatten(2))
    cls = tokens[:, :1] + block.drop_path1(block.ls1(attention.proj_drop(attention.proj(attended))))
    return cls + block.drop_path2(block.ls2(block.mlp(block.norm2(cls))))


def open_clip_block_for_cls(block: ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    """First output token (B, 1, C) of an open_clip block, as `timm_block_for_cls`."""
    normed = block.ln_1(tokens)
    query = normed[:, :1]
    if not block.attn.batch_first:
        normed, query = normed.transpose(0, 1), query.transpose(0, 1)
    attended = block.attn(query, normed, normed, need_weights=False)[0]
    if not block.attn.batch_first:
        attended = attended.transpose(0, 1)
    cls = tokens[:, :1] + block.ls_1(attended)
    return cls + block.ls_2(block.mlp(block.ln_2(cls)))


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, C) as (B, heads, T, C / heads)."""
    return torch.unflatten(tokens, -1, (heads, -1)).transpose(1, 2)
