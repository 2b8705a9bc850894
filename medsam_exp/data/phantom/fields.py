"""Building blocks of drawn scans: coordinates, soft ellipses, smooth noise."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""(H, W) float32, or something that broadcasts to it."""


@lru_cache(maxsize=64)
def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Relative coordinates of pixel centres: y (H, 1) downwards and x (1, W) rightwards, both in (0, 1)."""
    height, width = shape
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / width
    y.setflags(write=False)
    x.setflags(write=False)
    return y, x


def step(value: Field, softness: float) -> Field:
    """Linear ramp from 0 to 1 around zero.

    Args:
        value: any shape.
        softness: width of the ramp.
    """
    result: Field = np.clip(value / np.float32(softness) + np.float32(0.5), 0, 1)
    return result


def ellipse(
    shape: tuple[int, int],
    center: tuple[float, float],
    radii: tuple[float, float],
    softness: float = 0.05,
    angle: float = 0.0,
) -> Field:
    """(H, W) 1 inside an ellipse and 0 outside, with a soft rim.

    Args:
        shape: (H, W) pixels.
        center: (y, x) in relative coordinates.
        radii: half axes (y, x) in relative coordinates.
        softness: width of the rim as a share of the radius.
        angle: rotation in radians.
    """
    y, x = grid(shape)
    return step(1 - radius(y - np.float32(center[0]), x - np.float32(center[1]), radii, angle), softness)


def radius(dy: Field, dx: Field, radii: tuple[float, float], angle: float = 0.0) -> Field:
    """Distance from a centre in units of an ellipse's radii: 1 on its rim.

    Args:
        dy: offset of rows from the centre, broadcasts to (H, W).
        dx: offset of columns, likewise.
        radii: half axes (y, x).
        angle: rotation in radians.

    Returns:
        (H, W).
    """
    if angle:
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dy, dx = cos * dy - sin * dx, sin * dy + cos * dx
    return np.sqrt((dy / np.float32(radii[0])) ** 2 + (dx / np.float32(radii[1])) ** 2)


def smooth_noise(generator: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Smooth random field of mean 0 and variance 1, from cubic B-splines.

    Args:
        generator: draws the knots.
        shape: (H, W) pixels.
        cells: about how many waves, (rows, columns).

    Returns:
        (H, W).
    """
    rows, columns = _spline_basis(shape[0], cells[0]), _spline_basis(shape[1], cells[1])
    knots = generator.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return rows @ knots @ columns.T


@lru_cache(maxsize=512)
def _spline_basis(length: int, cells: int) -> Field:
    """(length, knots) cubic B-spline weights, each row of unit norm."""
    position = (np.arange(length) + 0.5) / length * cells
    distance = np.abs(position[:, None] - (np.arange(cells + 3)[None, :] - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    basis: Field = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    basis.setflags(write=False)
    return basis
