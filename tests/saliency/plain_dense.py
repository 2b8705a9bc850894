"""Attention replaced the slow way: head by head and token by token, from a block's own weights."""

from collections.abc import Callable
from math import exp, sqrt
from typing import Any

import torch
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from tests.saliency.plain import cosine, embedded, entering_by_hand, layers_of, reads_cls

Head = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values of a head, each (T, C / heads)."""


def normed_by_hand(block: Any, tokens: Tensor) -> Tensor:
    return block.norm1(tokens) if hasattr(block, "norm1") else block.ln_1(tokens)


def heads_of(block: Any, tokens: Tensor) -> list[Head]:
    """Of the tokens (T, C) that enter a block."""
    attention = block.attn
    timm = hasattr(attention, "qkv")
    weight = attention.qkv.weight if timm else attention.in_proj_weight
    bias = attention.qkv.bias if timm else attention.in_proj_bias
    bias = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias
    normed, channels = normed_by_hand(block, tokens), tokens.shape[1]
    width = channels // attention.num_heads
    heads = []
    for head in range(attention.num_heads):
        rows = [
            slice(kind * channels + head * width, kind * channels + (head + 1) * width) for kind in range(3)
        ]
        heads.append(tuple(normed @ weight[some].T + bias[some] for some in rows))
    return heads


def gathered(weights: list[Tensor], values: Tensor) -> Tensor:
    """(T, d): for each token the sum of all values (T, d) by its weights (T,)."""
    return torch.stack([row @ values for row in weights])


def softmax(logits: Tensor) -> Tensor:
    return torch.exp(logits) / torch.exp(logits).sum()


def attention_among(
    vectors: Tensor, scale: float | Tensor, bonus: Callable[[int, int], float] | None = None
) -> list[Tensor]:
    """Softmax, row by row, of the products of vectors (T, d) times a scale, with something added to each."""
    rows, places = [], range(len(vectors))
    for one, vector in enumerate(vectors):
        logits = vectors @ vector * scale
        if bonus is not None:
            logits = logits + torch.tensor([bonus(one, other) for other in places], dtype=logits.dtype)
        rows.append(softmax(logits))
    return rows


def projected(block: Any, heads: list[Tensor]) -> Tensor:
    """What a block's attention adds to the residual path, of what its heads attend to."""
    mixed = torch.cat(heads, dim=1)
    if hasattr(block, "norm1"):
        return block.ls1(block.attn.proj(mixed))
    return block.ls_1(block.attn.out_proj(mixed))


def cosines(clip: ClipModel, image: Tensor, text: Tensor, tokens: Tensor) -> Tensor:
    """(gh, gw): each patch's embedding is that of an image whose last block gives out this patch everywhere."""
    everywhere = torch.stack([torch.stack([patch] * len(tokens)) for patch in tokens[clip.prefix_tokens :]])
    handle = layers_of(clip)[-1].register_forward_hook(lambda *_: everywhere)
    try:
        found = [cosine(patch, text) for patch in clip.encode_image(image[None])]
    finally:
        handle.remove()
    return torch.stack(found).reshape(clip.grid)


def plain_sclip(clip: ClipModel, image: Tensor, text: Tensor) -> Tensor:
    block, tokens = layers_of(clip)[-1], entering_by_hand(clip, image)[-1]
    heads = []
    for query, key, value in heads_of(block, tokens):
        scale = 1 / sqrt(query.shape[1])
        heads.append(
            gathered(attention_among(query, scale), value) + gathered(attention_among(key, scale), value)
        )
    return cosines(clip, image, text, rest_of(block, tokens + projected(block, heads)))


def rest_of(block: Any, tokens: Tensor) -> Tensor:
    """Tokens after a block's MLP."""
    if hasattr(block, "norm2"):
        return tokens + block.ls2(block.mlp(block.norm2(tokens)))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def plain_naclip(clip: ClipModel, image: Tensor, text: Tensor, std: float) -> Tensor:
    block, tokens = layers_of(clip)[-1], entering_by_hand(clip, image)[-1]
    first, columns = clip.prefix_tokens, clip.grid[1]

    def near(one: int, other: int) -> float:
        if one < first or other < first:
            return 0.0
        (row, column), (y, x) = divmod(one - first, columns), divmod(other - first, columns)
        return exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * std**2))

    heads = [
        gathered(attention_among(key, 1 / sqrt(key.shape[1]), near), value)
        for _, key, value in heads_of(block, tokens)
    ]
    return cosines(clip, image, text, projected(block, heads))


def beside(clip: ClipModel, image: Tensor, last: int, mixed: Callable[[Any, Tensor], list[Tensor]]) -> Tensor:
    """Tokens (T, C) of the path beside the last blocks."""
    entering, blocks = entering_by_hand(clip, image), layers_of(clip)
    side = entering[-last]
    for block, tokens in list(zip(blocks, entering, strict=True))[-last:]:
        side = side + projected(block, mixed(block, tokens))
    return side


def plain_gem(clip: ClipModel, image: Tensor, text: Tensor, last: int, iterations: int) -> Tensor:
    def mixed(block: Any, tokens: Tensor) -> list[Tensor]:
        normed = normed_by_hand(block, tokens)
        length = sum(token.norm() for token in normed) / len(normed)
        heads = []
        for head in heads_of(block, tokens):
            scale = length / sqrt(head[0].shape[1])
            three = []
            for vectors in head:
                for _ in range(iterations):
                    vectors = torch.stack([vector / vector.norm() for vector in vectors])
                    vectors = gathered(attention_among(vectors, scale), vectors)
                vectors = torch.stack([vector / vector.norm() for vector in vectors])
                three.append(gathered(attention_among(vectors, scale), head[2]))
            heads.append(sum(three) / 3)
        return heads

    return cosines(clip, image, text, beside(clip, image, last, mixed))


def plain_clip_surgery(clip: ClipModel, image: Tensor, text: Tensor, last: int, others: list[str]) -> Tensor:
    """`others` are the texts that mean nothing."""

    def mixed(block: Any, tokens: Tensor) -> list[Tensor]:
        return [
            gathered(attention_among(value, 1 / sqrt(value.shape[1])), value)
            for _, _, value in heads_of(block, tokens)
        ]

    tokens = beside(clip, image, last, mixed)
    nothing = [cosines(clip, image, clip.encode_text(clip.tokenize([other]))[0], tokens) for other in others]
    return cosines(clip, image, text, tokens) - sum(nothing) / len(nothing)


def plain_grad_eclip(clip: ClipModel, image: Tensor, text: Tensor) -> Tensor:
    """Tokens read one by one; the gradient of what the heads attend to by a nudge of it."""
    block, tokens, first = layers_of(clip)[-1], entering_by_hand(clip, image)[-1], clip.prefix_tokens
    parts = heads_of(block, tokens)
    mixed = []
    for query, key, value in parts:
        weights = [softmax(key @ one / sqrt(len(one))) for one in query]
        mixed.append(gathered(weights, value))
    nudge = torch.zeros_like(tokens, requires_grad=True)
    nudged = [head + some for head, some in zip(mixed, nudge.split(parts[0][0].shape[1], dim=1), strict=True)]
    after = rest_of(block, tokens + projected(block, nudged))
    (gradient,) = torch.autograd.grad(cosine(embedded(clip, image, after), text), nudge)
    query, key, value = (torch.cat([head[kind] for head in parts], dim=1) for kind in range(3))
    relevance = torch.zeros(len(tokens) - first, dtype=tokens.dtype)
    for reader in [0] if reads_cls(clip) else range(first, len(tokens)):
        near = torch.stack([cosine(query[reader], other) for other in key[first:]])
        near = (near - near.min()) / (near.max() - near.min())
        for patch in range(len(relevance)):
            relevance[patch] += (gradient[reader] * value[first + patch] * near[patch]).sum()
    return relevance.clamp(min=0).reshape(clip.grid)
