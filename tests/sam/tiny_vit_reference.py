"""TinyViT's image encoder, step by step, for one image: what its paper says, by its publisher's names of weights."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]
Weights = dict[str, Array]


def encode(image: Array, weights: Weights, heads: tuple[int, ...], windows: tuple[int, ...]) -> Array:
    """Embedding (C, g, g) of an image (3, S, S); a head count and a window for each stage, the first ones unused."""
    stem = weights["image_encoder.patch_embed.seq.0.c.weight"].shape[-1]
    stride, padding = (2, 1) if stem == 3 else (1, 0)
    x = gelu(conv_norm(image, weights, "image_encoder.patch_embed.seq.0", stride, padding))
    x = conv_norm(x, weights, "image_encoder.patch_embed.seq.2", stride, padding)
    for stage in range(4):
        own = f"image_encoder.layers.{stage}"
        for block in blocks(weights, own):
            x = (
                bottleneck(x, weights, block)
                if stage == 0
                else transformer(x, weights, block, heads[stage], windows[stage])
            )
        if stage < 3:
            x = gelu(conv_norm(x, weights, f"{own}.downsample.conv1"))
            x = gelu(conv_norm(x, weights, f"{own}.downsample.conv2", 1 if stage == 2 else 2, 1))
            x = conv_norm(x, weights, f"{own}.downsample.conv3")
    x = over_channels(conv(x, weights["image_encoder.neck.0.weight"]), weights, "image_encoder.neck.1")
    x = conv(x, weights["image_encoder.neck.2.weight"], padding=1)
    return over_channels(x, weights, "image_encoder.neck.3")


def blocks(weights: Weights, stage: str) -> Iterator[str]:
    numbers = {name.split(".")[4] for name in weights if name.startswith(f"{stage}.blocks.")}
    return (f"{stage}.blocks.{number}" for number in sorted(numbers))


def gelu(x: Array) -> Array:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def conv(x: Array, weight: Array, stride: int = 1, padding: int = 0) -> Array:
    """Pixel by pixel; each channel alone where the weight sees one channel of several."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[-1]
    rows, columns = ((length - side) // stride + 1 for length in padded.shape[1:])
    result = np.zeros((len(weight), rows, columns))
    for i, j in np.ndindex(rows, columns):
        seen = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
        alone = weight.shape[1] == 1 and len(x) > 1
        result[:, i, j] = (weight[:, 0] * seen).sum((1, 2)) if alone else (weight * seen).sum((1, 2, 3))
    return result


def conv_norm(x: Array, weights: Weights, name: str, stride: int = 1, padding: int = 0) -> Array:
    x = conv(x, weights[f"{name}.c.weight"], stride, padding)
    for channel in range(len(x)):
        mean, variance, weight, bias = (
            weights[f"{name}.bn.{part}"][channel]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x[channel] = (x[channel] - mean) / math.sqrt(variance + 1e-5) * weight + bias
    return x


def bottleneck(x: Array, weights: Weights, name: str) -> Array:
    inside = gelu(conv_norm(x, weights, f"{name}.conv1"))
    inside = gelu(conv_norm(inside, weights, f"{name}.conv2", padding=1))
    return gelu(x + conv_norm(inside, weights, f"{name}.conv3"))


def transformer(x: Array, weights: Weights, name: str, heads: int, window: int) -> Array:
    C, rows, columns = x.shape
    padded = np.zeros((C, -(-rows // window) * window, -(-columns // window) * window))
    padded[:, :rows, :columns] = x
    for top in range(0, padded.shape[1], window):
        for left in range(0, padded.shape[2], window):
            place = slice(None), slice(top, top + window), slice(left, left + window)
            tokens = padded[place].reshape(C, -1).T
            padded[place] = attend(tokens, weights, f"{name}.attn", heads, window).T.reshape(
                C, window, window
            )
    x = x + padded[:, :rows, :columns]
    x = conv_norm(x, weights, f"{name}.local_conv", padding=1)
    hidden = over_channels(x, weights, f"{name}.mlp.norm", 1e-5).reshape(C, -1).T
    hidden = gelu(linear(hidden, weights, f"{name}.mlp.fc1"))
    return x + linear(hidden, weights, f"{name}.mlp.fc2").T.reshape(x.shape)


def attend(tokens: Array, weights: Weights, name: str, heads: int, window: int) -> Array:
    """Tokens (N, C) of a window, row by row; the biases are numbered by when their distance first appears."""
    cells = list(np.ndindex(window, window))
    numbers: dict[tuple[int, int], int] = {}
    for one in cells:
        for other in cells:
            numbers.setdefault((abs(one[0] - other[0]), abs(one[1] - other[1])), len(numbers))
    N, C = tokens.shape
    width = C // heads
    normalised = over_channels(tokens.T[..., None], weights, f"{name}.norm", 1e-5)[..., 0].T
    projected = linear(normalised, weights, f"{name}.qkv").reshape(N, heads, 3, width)
    result = np.zeros((N, C))
    for head in range(heads):
        query, key, value = projected[:, head].transpose(1, 0, 2)
        biases = weights[f"{name}.attention_biases"][head]
        for n, one in enumerate(cells):
            apart = [numbers[abs(one[0] - other[0]), abs(one[1] - other[1])] for other in cells]
            scores = np.exp(key @ query[n] / math.sqrt(width) + biases[apart])
            result[n, head * width : (head + 1) * width] = scores / scores.sum() @ value
    return linear(result, weights, f"{name}.proj")


def linear(tokens: Array, weights: Weights, name: str) -> Array:
    return tokens @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def over_channels(x: Array, weights: Weights, name: str, epsilon: float = 1e-6) -> Array:
    """Layer norm of each pixel of (C, H, W)."""
    result = np.zeros_like(x)
    for i, j in np.ndindex(x.shape[1:]):
        centred = x[:, i, j] - x[:, i, j].mean()
        result[:, i, j] = centred / math.sqrt((centred**2).mean() + epsilon)
    return result * weights[f"{name}.weight"][:, None, None] + weights[f"{name}.bias"][:, None, None]
