"""Forward passes of transformer blocks: for the class token alone, with the attention maps, or with another attention.

For the usual block of timm and that of open_clip. Shapes: B images, T tokens, C channels. Nothing here changes a block,
sets a flag or leaves a hook.
"""

from dataclasses import dataclass
from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.layers import Attention, AttentionPoolLatent
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import linear


def is_plain(block: Any) -> bool:
    """Whether a block is a usual one, which the functions here repeat."""
    if type(block) is Block:
        return type(block.attn) is Attention and type(block.attn.qkv) is nn.Linear
    return type(block) is ResidualAttentionBlock


def through(block: Any, tokens: Tensor) -> Tensor:
    """Output tokens of a block in evaluation mode, by the way that is faster.

    Where a gradient in half precision is wanted on a CPU, a plain block's attention goes by its products: the gradient
    of torch's fused kernel takes three times as long there (measured at 197 tokens).
    """
    if not (is_plain(block) and torch.is_grad_enabled() and _half_on_cpu(tokens)):
        result: Tensor = block(tokens)
        return result
    query, key, value = _queries_keys_values(block, _normed(block, tokens))
    with torch.autocast("cpu", enabled=False):  # it would bring the weights of attention to float32 and back
        mixed = (query.shape[-1] ** -0.5 * query @ key.mT).softmax(dim=-1) @ value
    return _after_attention(block, tokens, _merged(mixed))


def _half_on_cpu(tokens: Tensor) -> bool:
    """Whether products of tokens are computed in half precision on a CPU."""
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else tokens.dtype
    return tokens.device.type == "cpu" and kind.itemsize == 2


def for_cls(block: Block | ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    """First output token (B, 1, C) of a plain block in evaluation mode, by work on CLS alone.

    No keys and values of the other tokens are made. With query q, weights W, biases b and normalised tokens n_j:
    q (W_k n_j) = (W_k^T q) n_j, the bias of keys adds the same to all scores of a query, and
    sum_j p_j (W_v n_j + b_v) = W_v (sum_j p_j n_j) + b_v.
    """
    cls, attention = tokens[:, :1], block.attn
    if isinstance(block, ResidualAttentionBlock):
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        values = _values_for_cls(block.ln_1(tokens), weight, bias, attention.num_heads, nn.Identity())
        return _after_attention(block, cls, values)
    if not isinstance(attention.k_norm, nn.Identity):
        whole: Tensor = block(tokens)
        return whole[:, :1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    values = _values_for_cls(block.norm1(tokens), weight, bias, attention.num_heads, attention.q_norm)
    return _after_attention(block, cls, values)


def _values_for_cls(
    normed: Tensor, weight: Tensor, bias: Tensor | None, heads: int, query_norm: nn.Module
) -> Tensor:
    """Values (B, 1, C) that CLS gathers from normalised tokens (B, T, C), itself among them.

    Args:
        normed: see above.
        weight: (3 C, C) of queries, keys and values.
        bias: (3 C) or None.
        heads: that share the channels.
        query_norm: of each head's query.
    """
    of_query, of_key, of_value = weight.unflatten(0, (3, heads, -1))
    bias_of_query, _, bias_of_value = (None,) * 3 if bias is None else bias.chunk(3)
    cls = linear(normed[:, 0].contiguous(), of_query.flatten(0, 1), bias_of_query)
    query = query_norm(cls.unflatten(-1, (heads, -1)))
    asked = torch.einsum("bhd,hdc->bhc", query, of_key) * query.shape[-1] ** -0.5
    paid = (asked @ normed.mT).softmax(dim=-1)
    values = torch.einsum("bhc,hdc->bhd", paid.to(asked.dtype) @ normed, of_value)
    if bias_of_value is not None:
        values = values + bias_of_value.unflatten(0, (heads, -1))
    return values.flatten(1)[:, None].contiguous()


def with_attention(block: Block | ResidualAttentionBlock, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Output tokens (B, T, C) of a plain block and its attention.

    Returns:
        Tokens, and attention (B, heads, T, T): row by query, each row sums to 1; the tokens depend on it, so that
        gradients can be taken with respect to it.
    """
    query, key, value = _queries_keys_values(block, _normed(block, tokens))
    paid = (query.shape[-1] ** -0.5 * query @ key.mT).softmax(dim=-1)
    return _after_attention(block, tokens, _merged(paid @ value)), paid


@dataclass(frozen=True)
class PlainBlock:
    """A plain block in parts, for methods that let its tokens attend otherwise.

    `mixed` below is what each head's tokens attend to, (B, heads, T, C / heads): a product of weights and values.
    """

    block: Block | ResidualAttentionBlock

    def __call__(self, tokens: Tensor) -> Tensor:
        """Output tokens (B, T, C), as the network computes them."""
        return through(self.block, tokens)

    def with_attention(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """As the function `with_attention`."""
        return with_attention(self.block, tokens)

    def normed(self, tokens: Tensor) -> Tensor:
        """What queries, keys and values are made of, (B, T, C)."""
        return _normed(self.block, tokens)

    def queries_keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each (B, heads, T, C / heads), of the block's input."""
        return _queries_keys_values(self.block, self.normed(tokens))

    def attended(self, mixed: Tensor) -> Tensor:
        """What attention adds to the residual path, (B, T, C)."""
        return _attended(self.block, _merged(mixed))

    def after_attention(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        """Output tokens (B, T, C), of the block's input and what its tokens attend to."""
        return _after_attention(self.block, tokens, _merged(mixed))


def _normed(block: Block | ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    result: Tensor = block.ln_1(tokens) if isinstance(block, ResidualAttentionBlock) else block.norm1(tokens)
    return result


def _queries_keys_values(
    block: Block | ResidualAttentionBlock, normed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, heads, T, C / heads) of a plain block, contiguous, as products want them."""
    attention = block.attn
    if isinstance(block, ResidualAttentionBlock):
        mixed_in = linear(normed, attention.in_proj_weight, attention.in_proj_bias)
    else:
        mixed_in = attention.qkv(normed)
    parts = mixed_in.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).contiguous()
    query, key, value = parts.unbind(0)
    if isinstance(block, ResidualAttentionBlock):
        return query, key, value
    return attention.q_norm(query), attention.k_norm(key), value


def _after_attention(block: Block | ResidualAttentionBlock, tokens: Tensor, values: Tensor) -> Tensor:
    """Output tokens (B, T, C) of a plain block, of its input and of the values (B, T, C) that its tokens attend to."""
    tokens = tokens + _attended(block, values)
    result: Tensor
    if isinstance(block, ResidualAttentionBlock):
        result = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    else:
        result = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    return result


def _attended(block: Block | ResidualAttentionBlock, values: Tensor) -> Tensor:
    """What a plain block's attention adds to the residual path, (B, T, C), of the values (B, T, C) attended to."""
    attention = block.attn
    result: Tensor
    if isinstance(block, ResidualAttentionBlock):
        result = block.ls_1(attention.out_proj(values))
    else:
        result = block.drop_path1(block.ls1(attention.proj_drop(attention.proj(attention.norm(values)))))
    return result


def _merged(values: Tensor) -> Tensor:
    """(B, heads, T, C / heads) as (B, T, C)."""
    return values.transpose(1, 2).flatten(2)


def pooled_by_attention(pool: AttentionPoolLatent, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What timm's attention pooling makes of tokens, and its attention.

    Returns:
        (B, C), and attention (B, heads, latents, T), on which it depends: each row sums to 1.
    """
    if pool.pos_embed is not None:
        tokens = tokens + pool.pos_embed[None].to(tokens.dtype)
    query = pool.q_norm(pool.q(pool.latent).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2))
    key, value = pool.kv(tokens).unflatten(-1, (2, pool.num_heads, -1)).permute(2, 0, 3, 1, 4)
    paid = (pool.scale * query @ pool.k_norm(key).mT).softmax(dim=-1)
    mixed = pool.proj_drop(pool.proj(_merged(paid @ value)))
    mixed = mixed + pool.mlp(pool.norm(mixed))
    return (mixed[:, 0] if pool.pool == "token" else mixed.mean(dim=1)), paid


def value_path(block: Block | ResidualAttentionBlock, tokens: Tensor) -> Tensor:
    """Output tokens (B, T, C) of a plain block in which each token attends to itself alone (MaskCLIP, Zhou 2022)."""
    attention, normed = block.attn, _normed(block, tokens)
    if isinstance(block, ResidualAttentionBlock):
        channels = tokens.shape[-1]
        bias = attention.in_proj_bias
        value_bias = None if bias is None else bias[2 * channels :]
        values = linear(normed, attention.in_proj_weight[2 * channels :], value_bias)
        return _after_attention(block, tokens, values)
    values = attention.qkv(normed).chunk(3, dim=-1)[2]
    return _after_attention(block, tokens, values)
