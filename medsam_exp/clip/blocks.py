"""Forward passes of transformer blocks: for the class token alone, with the attention maps, or by the value path.

For the usual block of timm and that of open_clip. Shapes: B images, T tokens, C channels. Nothing here changes a block,
sets a flag or leaves a hook.
"""

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention


def is_plain(block: Any) -> bool:
    """Whether a block is a usual one, which the functions here repeat."""
    if type(block) is Block:
        return type(block.attn) is Attention and type(block.attn.qkv) is nn.Linear
    return type(block) is ResidualAttentionBlock


def for_cls(block: Block | ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    """First output token (B, 1, C) of a plain block: queries and MLP of CLS alone, keys and values of all."""
    cls = tokens[:, :1]
    if isinstance(block, ResidualAttentionBlock):
        normed = block.ln_1(tokens)
        query = normed[:, :1]
        if not block.attn.batch_first:
            normed, query = normed.transpose(0, 1), query.transpose(0, 1)
        attended = block.attn(query, normed, normed, need_weights=False)[0]
        return _rest(block, cls, attended if block.attn.batch_first else attended.transpose(0, 1))
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
    return _rest(block, cls, _projected(attention, mixed))


def with_attention(block: Block | ResidualAttentionBlock, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Output tokens (B, T, C) of a plain block and its attention.

    Returns:
        Tokens, and attention (B, heads, T, T): row by query, each row sums to 1; the tokens depend on it, so that
        gradients can be taken with respect to it.
    """
    attention = block.attn
    if isinstance(block, ResidualAttentionBlock):
        mixed_in = linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = (_heads(part, attention.num_heads) for part in mixed_in.chunk(3, dim=-1))
        paid = (attention.head_dim**-0.5 * query @ key.transpose(-2, -1)).softmax(dim=-1)
        return _rest(block, tokens, attention.out_proj((paid @ value).transpose(1, 2).flatten(2))), paid
    mixed_in = attention.qkv(block.norm1(tokens))
    query, key, value = (_heads(part, attention.num_heads) for part in mixed_in.chunk(3, dim=-1))
    query, key = attention.q_norm(query), attention.k_norm(key)
    paid = (attention.scale * query @ key.transpose(-2, -1)).softmax(dim=-1)
    return _rest(block, tokens, _projected(attention, paid @ value)), paid


def value_path(block: Block | ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    """Output tokens (B, T, C) of a plain block in which each token attends to itself alone (MaskCLIP, Zhou 2022)."""
    attention = block.attn
    if isinstance(block, ResidualAttentionBlock):
        channels = tokens.shape[-1]
        bias = attention.in_proj_bias
        value_bias = None if bias is None else bias[2 * channels :]
        values = linear(block.ln_1(tokens), attention.in_proj_weight[2 * channels :], value_bias)
        return _rest(block, tokens, attention.out_proj(values))
    values = attention.qkv(block.norm1(tokens)).chunk(3, dim=-1)[2]
    return _rest(block, tokens, _projected(attention, _heads(values, attention.num_heads)))


def _rest(block: Block | ResidualAttentionBlock, tokens: Tensor, attended: Tensor) -> Tensor:
    """What follows a block's attention: residual path and MLP."""
    result: Tensor
    if isinstance(block, ResidualAttentionBlock):
        tokens = tokens + block.ls_1(attended)
        result = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    else:
        tokens = tokens + block.drop_path1(block.ls1(attended))
        result = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    return result


def _projected(attention: Attention, mixed: Tensor) -> Tensor:
    """Output of timm's attention (B, T, C), of values mixed by head (B, heads, T, C / heads)."""
    result: Tensor = attention.proj_drop(attention.proj(attention.norm(mixed.transpose(1, 2).flatten(2))))
    return result


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, C) as (B, heads, T, C / heads)."""
    return torch.unflatten(tokens, -1, (heads, -1)).transpose(1, 2)
