"""Forward passes of transformer blocks: for the class token alone, or together with the attention maps.

Shapes: B images, T tokens, C channels. Nothing here changes a block, sets a flag or leaves a hook.
"""

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


def is_plain_timm_block(block: Any) -> bool:
    """Whether timm's block is the usual one, which the functions here repeat."""
    return type(block) is Block and type(block.attn) is Attention and type(block.attn.qkv) is nn.Linear


def is_plain_open_clip_block(block: Any) -> bool:
    """Whether open_clip's block is the usual one, which the functions here repeat."""
    return type(block) is ResidualAttentionBlock


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
    result: Tensor = cls + block.drop_path2(block.ls2(block.mlp(block.norm2(cls))))
    return result


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
    result: Tensor = cls + block.ls_2(block.mlp(block.ln_2(cls)))
    return result


def timm_block_with_attention(block: Block, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Output tokens (B, T, C) of a timm block and its attention.

    Returns:
        Tokens, and attention (B, heads, T, T): row by query, each row sums to 1; the tokens depend on it, so that
        gradients can be taken with respect to it.
    """
    attention = block.attn
    query, key, value = (
        _heads(part, attention.num_heads) for part in attention.qkv(block.norm1(tokens)).chunk(3, dim=-1)
    )
    query, key = attention.q_norm(query), attention.k_norm(key)
    paid = (attention.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
    attended = attention.norm((paid @ value).transpose(1, 2).flatten(2))
    tokens = tokens + block.drop_path1(block.ls1(attention.proj_drop(attention.proj(attended))))
    return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens)))), paid


def open_clip_block_with_attention(block: ResidualAttentionBlock, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Output tokens (B, T, C) of an open_clip block and its attention, as `timm_block_with_attention`."""
    attention = block.attn
    mixed_in = linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (_heads(part, attention.num_heads) for part in mixed_in.chunk(3, dim=-1))
    paid = (attention.head_dim**-0.5 * query @ key.transpose(-2, -1)).softmax(dim=-1)
    tokens = tokens + block.ls_1(attention.out_proj((paid @ value).transpose(1, 2).flatten(2)))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens))), paid


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, C) as (B, heads, T, C / heads)."""
    return torch.unflatten(tokens, -1, (heads, -1)).transpose(1, 2)
