"""Saliency the slow way: hooks on the network's own blocks, one image and one channel at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medsam_exp.clip.model import ClipModel


def layers_of(clip: ClipModel) -> list[nn.Module]:
    """Blocks of a transformer or stages of a ResNet, in order."""
    visual: Any = clip.network.visual
    if hasattr(visual, "trunk"):
        return list(visual.trunk.blocks)
    if hasattr(visual, "layer1"):
        return [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
    return list(visual.transformer.resblocks)


@contextmanager
def caught(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What the layer gives out, with its gradient kept."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    handle = layer.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Of two vectors (D,)."""
    return (one @ other) / (one.norm() * other.norm())


def features_and_gradient(clip: ClipModel, image: Tensor, text: Tensor, layer: int) -> tuple[Tensor, Tensor]:
    """Features (C, gh, gw) after a layer, and the gradient of the similarity with respect to them."""
    with caught(layers_of(clip)[layer]) as outputs:
        cosine(clip.encode_image(image[None])[0], text).backward()
    for parameter in clip.parameters():
        parameter.grad = None
    output = outputs[0]
    assert output.grad is not None
    return tuple(spatial(clip, value[0]) for value in (output.detach(), output.grad))  # type: ignore[return-value]


def spatial(clip: ClipModel, output: Tensor) -> Tensor:
    """Tokens (T, C), or a map (C, gh, gw), as a map."""
    if output.ndim == 3:
        return output
    rows, columns = clip.grid
    result = torch.empty(output.shape[1], rows, columns)
    for row in range(rows):
        for column in range(columns):
            result[:, row, column] = output[clip.prefix_tokens + row * columns + column]
    return result


def plain_gradcam(clip: ClipModel, image: Tensor, text: Tensor, layer: int) -> Tensor:
    """(gh, gw)."""
    features, gradient = features_and_gradient(clip, image, text, layer)
    result = torch.zeros(features.shape[1:])
    for channel in range(len(features)):
        result += gradient[channel].mean() * features[channel]
    return result.clamp(min=0)


def plain_gscorecam(clip: ClipModel, image: Tensor, text: Tensor, layer: int, count: int) -> Tensor:
    """(gh, gw)."""
    features, gradient = features_and_gradient(clip, image, text, layer)
    chosen = sorted(range(len(features)), key=lambda channel: -float(gradient[channel].mean()))[:count]
    upsample = nn.Upsample(size=tuple(image.shape[1:]), mode="bilinear")
    scores = []
    for channel in chosen:
        mask = upsample(features[None, None, channel])[0, 0]
        flat = features[channel].min() == features[channel].max()
        mask = torch.zeros_like(mask) if flat else (mask - mask.min()) / (mask.max() - mask.min())
        with torch.no_grad():
            scores.append(100 * cosine(clip.encode_image((image * mask)[None])[0], text))
    exponentials = [torch.exp(score) for score in scores]
    result = torch.zeros(features.shape[1:])
    for channel, exponential in zip(chosen, exponentials, strict=True):
        result += exponential / sum(exponentials) * features[channel]
    return result.clamp(min=0)


def attention_by_hand(clip: ClipModel, image: Tensor) -> list[Tensor]:
    """Attention (heads, T, T) of each block, from its own input, queries and keys, head by head."""
    entering = entering_by_hand(clip, image)
    return [_attention_of(block, tokens) for block, tokens in zip(layers_of(clip), entering, strict=True)]


def entering_by_hand(clip: ClipModel, image: Tensor) -> list[Tensor]:
    """Tokens (T, C) that enter each block."""
    inputs: list[Tensor] = []
    blocks = layers_of(clip)
    handles = [
        block.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0].detach()))
        for block in blocks
    ]
    try:
        with torch.no_grad():
            clip.encode_image(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return inputs


def _attention_of(block: Any, tokens: Tensor) -> Tensor:
    attention = block.attn
    timm = hasattr(attention, "qkv")
    weight = attention.qkv.weight if timm else attention.in_proj_weight
    bias = attention.qkv.bias if timm else attention.in_proj_bias
    normed = block.norm1(tokens) if timm else block.ln_1(tokens)
    channels = tokens.shape[1]
    width = channels // attention.num_heads
    heads = []
    for head in range(attention.num_heads):
        start = head * width
        query = normed @ weight[start : start + width].T
        key = normed @ weight[channels + start : channels + start + width].T
        if bias is not None:
            query = query + bias[start : start + width]
            key = key + bias[channels + start : channels + start + width]
        logits = query @ key.T / width**0.5
        heads.append(torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True))
    return torch.stack(heads).detach()


def plain_rollout(clip: ClipModel, image: Tensor) -> Tensor:
    """(gh, gw), by a chain of matrix products."""
    product: Tensor | None = None
    for heads in attention_by_hand(clip, image):
        mean = sum(heads) / len(heads)
        mixed = 0.5 * mean + 0.5 * torch.eye(len(mean))
        mixed = mixed / mixed.sum(dim=1, keepdim=True)
        product = mixed if product is None else mixed @ product
    assert product is not None
    return _read(clip, product)


def _read(clip: ClipModel, product: Tensor) -> Tensor:
    first = clip.prefix_tokens
    row = product[0] if reads_cls(clip) else product[first:].mean(dim=0)
    return row[first:].reshape(clip.grid)


def reads_cls(clip: ClipModel) -> bool:
    visual: Any = clip.network.visual
    return visual.trunk.global_pool == "token" if hasattr(visual, "trunk") else visual.pool_type == "tok"


def plain_gradient_rollout(clip: ClipModel, image: Tensor, text: Tensor) -> Tensor:
    """(gh, gw); the gradient of each attention by a nudge of that attention alone, in double precision."""
    blocks, attentions = layers_of(clip), attention_by_hand(clip, image)
    tokens = len(attentions[0][0])
    relevance = torch.eye(tokens, dtype=image.dtype)
    for block, paid in zip(blocks, attentions, strict=True):
        nudge = torch.zeros_like(paid, requires_grad=True)
        handle = block.attn.register_forward_hook(_with_attention(paid + nudge))
        try:
            cosine(clip.encode_image(image[None])[0], text).backward()
        finally:
            handle.remove()
        assert nudge.grad is not None
        step = torch.zeros(tokens, tokens, dtype=image.dtype)
        for head in range(len(paid)):
            step += (nudge.grad[head] * paid[head]).clamp(min=0) / len(paid)
        relevance = relevance + step @ relevance
    return _read(clip, relevance - torch.eye(tokens, dtype=image.dtype))


def plain_patch_text(clip: ClipModel, image: Tensor, text: Tensor) -> Tensor:
    """(gh, gw); each patch's embedding is that of an image whose last block gives out this patch everywhere."""
    itself = torch.eye(clip.prefix_tokens + clip.grid[0] * clip.grid[1], dtype=image.dtype)
    heads = len(attention_by_hand(clip, image)[-1])
    with torch.no_grad():
        tokens = _given_out(clip, image, -1, torch.stack([itself] * heads) if reads_cls(clip) else None)
        found = [
            cosine(embedded(clip, image, torch.stack([patch] * len(tokens))), text)
            for patch in tokens[clip.prefix_tokens :]
        ]
    return torch.stack(found).reshape(clip.grid)


def plain_legrad(clip: ClipModel, image: Tensor, text: Tensor, last: int) -> Tensor:
    """(gh, gw); the gradient of each attention by a nudge of it, head by head and query by query."""
    attentions = attention_by_hand(clip, image)
    result = torch.zeros(len(attentions[0][0]), dtype=image.dtype)
    for layer in range(len(attentions) - last, len(attentions)):
        if pools_by_attention(clip):
            result += _pool_gradient(clip, _given_out(clip, image, layer, None).detach(), text)
            continue
        nudge = torch.zeros_like(attentions[layer], requires_grad=True)
        tokens = _given_out(clip, image, layer, attentions[layer] + nudge)
        if reads_cls(clip):
            tokens = torch.stack([sum(tokens) / len(tokens)] * len(tokens))
        (gradient,) = torch.autograd.grad(cosine(embedded(clip, image, tokens), text), nudge)
        for head in gradient:
            for query in head:
                result += query.clamp(min=0) / (len(gradient) * len(head))
    return result[clip.prefix_tokens :].reshape(clip.grid)


def pools_by_attention(clip: ClipModel) -> bool:
    visual: Any = clip.network.visual
    return hasattr(visual, "trunk") and visual.trunk.attn_pool is not None


def _pool_gradient(clip: ClipModel, tokens: Tensor, text: Tensor) -> Tensor:
    """(T,): mean over heads of how the match grows with the pool's attention to each of the tokens (T, C)."""
    visual: Any = clip.network.visual
    pool, normed = visual.trunk.attn_pool, visual.trunk.norm(tokens)
    channels, width = tokens.shape[1], tokens.shape[1] // pool.num_heads
    query, key_value = pool.q(pool.latent[0, 0]), pool.kv(normed)
    mixed, nudges = [], []
    for start in range(0, channels, width):
        key = key_value[:, start : start + width]
        value = key_value[:, channels + start : channels + start + width]
        logits = torch.stack([query[start : start + width] @ one / width**0.5 for one in key])
        nudges.append(torch.zeros_like(logits, requires_grad=True))
        paid = torch.exp(logits) / torch.exp(logits).sum() + nudges[-1]
        mixed.append(sum(weight * one for weight, one in zip(paid, value, strict=True)))
    pooled = pool.proj(torch.cat(mixed))
    pooled = pooled + pool.mlp(pool.norm(pooled))
    embedding = visual.head(visual.trunk.fc_norm(pooled[None]))[0]
    gradients = torch.autograd.grad(cosine(embedding, text), nudges)
    return sum(gradient.clamp(min=0) for gradient in gradients) / len(gradients)


def plain_legrad_patch_text(clip: ClipModel, image: Tensor, text: Tensor, last: int) -> Tensor:
    """(gh, gw)."""
    legrad, patches = plain_legrad(clip, image, text, last), plain_patch_text(clip, image, text)
    legrad, patches = ((x - x.min()) / (x.max() - x.min()) for x in (legrad, patches))
    return legrad * patches


def _given_out(clip: ClipModel, image: Tensor, layer: int, paid: Tensor | None) -> Tensor:
    """What a block gives out, (T, C), had it paid this attention (heads, T, T); None for its own."""
    block: Any = layers_of(clip)[layer]
    outputs: list[Tensor] = []
    handles = [block.register_forward_hook(lambda _, __, output: outputs.append(output[0]))]
    if paid is not None:
        handles.append(block.attn.register_forward_hook(_with_attention(paid)))
    try:
        clip.encode_image(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return outputs[0]


def embedded(clip: ClipModel, image: Tensor, tokens: Tensor) -> Tensor:
    """The image's embedding (D,), had its last block given out these tokens (T, C)."""
    handle = layers_of(clip)[-1].register_forward_hook(lambda *_: tokens[None])
    try:
        return clip.encode_image(image[None])[0]
    finally:
        handle.remove()


def _with_attention(paid: Tensor) -> Any:
    """A hook that gives out what an attention layer would, had it paid this attention (heads, T, T)."""

    def hook(attention: Any, given: Any, output: Any) -> Any:
        timm = hasattr(attention, "qkv")
        weight = attention.qkv.weight if timm else attention.in_proj_weight
        bias = attention.qkv.bias if timm else attention.in_proj_bias
        channels = weight.shape[1]
        value = given[0][0] @ weight[2 * channels :].T
        value = value if bias is None else value + bias[2 * channels :]
        parts = value.split(channels // attention.num_heads, dim=1)
        mixed = torch.cat([head @ part for head, part in zip(paid, parts, strict=True)], dim=1)[None]
        return attention.proj(mixed) if timm else (attention.out_proj(mixed), *output[1:])

    return hook
