"""Slow and obvious ways to compute what the framings and the adapter compute."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bilinear(plane: Array, size: tuple[int, int]) -> Array:
    """(h, w) resized to (H, W), pixel by pixel; pixel centres lie at half-integers, the border is repeated."""
    h, w = plane.shape
    result = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = max((i + 0.5) * h / size[0] - 0.5, 0), max((j + 0.5) * w / size[1] - 0.5, 0)
            top, left = min(int(y), h - 1), min(int(x), w - 1)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            down, across = y - top, x - left
            upper = plane[top, left] * (1 - across) + plane[top, right] * across
            lower = plane[bottom, left] * (1 - across) + plane[bottom, right] * across
            result[i, j] = upper * (1 - down) + lower * down
    return result


def neighbours(i: int, j: int, kernel: int, g: int) -> list[tuple[int, int, int, int]]:
    """(row, column, kernel row, kernel column) of what a kernel of stride 2 and padding 1 sees from (i, j)."""
    seen = [(2 * i + di - 1, 2 * j + dj - 1, di, dj) for di in range(kernel) for dj in range(kernel)]
    return [place for place in seen if 0 <= place[0] < g and 0 <= place[1] < g]


def adapter(x: Array, weights: dict[str, Array]) -> Array:
    """SAM-Med2D's adapter for one image's tokens (g, g, C), parameter by parameter."""
    g, _, C = x.shape
    hidden = np.maximum(weights["channel.0.weight"] @ x.reshape(-1, C).mean(0), 0)
    gated = x / (1 + np.exp(-(weights["channel.2.weight"] @ hidden)))
    half, whole = np.zeros((g // 2, g // 2, C)), np.zeros((g, g, C))
    for i, j in np.ndindex(g // 2, g // 2):
        for y, z, di, dj in neighbours(i, j, 3, g):
            half[i, j] += weights["spatial.0.weight"][:, :, di, dj] @ gated[y, z]
    for i, j in np.ndindex(g // 2, g // 2):
        for y, z, di, dj in neighbours(i, j, 4, g):
            whole[y, z] += np.maximum(half[i, j], 0) @ weights["spatial.2.weight"][:, :, di, dj]
    total = x + np.maximum(whole, 0)
    centred = total - total.mean(-1, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return normalised * weights["norm.weight"] + weights["norm.bias"]


def nearest_of_opencv(side: int, target: int) -> list[int]:
    """Source pixel of each of `target` pixels: floor(x / (target / side)) with OpenCV's two roundings."""
    return [min(math.floor(x * (1.0 / (float(target) / side))), side - 1) for x in range(target)]
