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


def draw_points(
    foreground: NDArray[np.intp],
    count: int,
    background: NDArray[np.intp],
    negative_count: int,
    generator: np.random.Generator,
) -> Points:
    """Draw different pixels; where there are too few, all of them, and "no point" for the rest.

    Args:
        foreground: (n, 2) row, column of the pixels to choose foreground points from; n may be 0.
        count: of foreground points.
        background: (m, 2), likewise.
        negative_count: of background points, which follow.
        generator: decides which.

    Returns:
        (P, 2) x, y, whole numbers, and (P,) labels: 1 foreground, 0 background, -1 for the rest.
    """
    coords = np.zeros((count + negative_count, 2), np.float32)
    labels = np.full(len(coords), -1, np.int64)
    for start, number, pixels, label in ((0, count, foreground, 1), (count, negative_count, background, 0)):
        drawn = generator.choice(pixels, min(number, len(pixels)), replace=False)
        some = slice(start, start + len(drawn))
        coords[some], labels[some] = drawn[:, ::-1], label
    return coords, labels
