"""Random pixels as points of a prompt, padded where there are too few."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import UserError

Points = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Coordinates (P, 2) x, y and labels (P,) of one prompt's points."""


def check_counts(count: int, negative_count: int) -> None:
    """Refuse numbers of points that no prompt can have.

    Raises:
        UserError: there is no foreground point, or a negative number of background points.
    """
    if count < 1:
        raise UserError(f"`count` of the prompt's foreground points is {count}, but it must be at least 1.")
    if negative_count < 0:
        raise UserError(
            f"`negative_count` of the prompt's background points is {negative_count}, but it cannot be below 0."
        )


def draw_points(pixels: NDArray[np.intp], count: int, label: int, generator: np.random.Generator) -> Points:
    """Draw different pixels; where there are fewer than `count`, all of them, and "no point" for the rest.

    Args:
        pixels: (n, 2) row, column of the pixels to choose from; n may be 0.
        count: P.
        label: 1 foreground, 0 background.
        generator: decides which.

    Returns:
        (P, 2) x, y, whole numbers, and (P,) labels, -1 for the rest.
    """
    coords, labels = np.zeros((count, 2), np.float32), np.full(count, -1, np.int64)
    drawn = generator.choice(pixels, min(count, len(pixels)), replace=False)
    coords[: len(drawn)], labels[: len(drawn)] = drawn[:, ::-1], label
    return coords, labels


def joined(foreground: Points, background: Points) -> Points:
    """Concatenate foreground and background points, in this order."""
    return np.concatenate([foreground[0], background[0]]), np.concatenate([foreground[1], background[1]])
