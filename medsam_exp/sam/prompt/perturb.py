"""Boxes drawn wider than their region, or moved at random: how exact must a box be for SAM?"""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import UserError


def check_looseness(expansion: float, jitter: float) -> None:
    """Refuse what would turn a box inside out.

    Raises:
        UserError: the expansion is negative or not finite, or the jitter outside [0, 0.5).
    """
    if not 0 <= expansion < np.inf:
        raise UserError(
            f"`expansion` of the prompt's boxes is {expansion}, but it must be at least 0, as a share of their sides."
        )
    if not 0 <= jitter < 0.5:
        raise UserError(
            f"`jitter` of the prompt's boxes is {jitter}, but it must be in [0, 0.5), a share of their sides."
        )


def loosen(
    boxes_xyxy: NDArray[np.float32],
    size: tuple[int, ...],
    expansion: float,
    jitter: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Move each border of each box outwards by a fixed share of its side, and by a random one either way.

    Args:
        boxes_xyxy: (N, 4) x0, y0, x1, y1 in pixels.
        size: (H, W) of the image, which a box never leaves.
        expansion: share of the side that is added at either end.
        jitter: the most that a border moves at random, as a share of the side; 0 leaves the generator alone.
        generator: decides the random part.

    Returns:
        (N, 4), never without area; the same boxes for 0 and 0.
    """
    sides = np.tile(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 2)
    moves = np.full(boxes_xyxy.shape, expansion) * [-1, -1, 1, 1]
    if jitter:
        moves = moves + generator.uniform(-jitter, jitter, boxes_xyxy.shape)
    height, width = size
    return np.clip(boxes_xyxy + moves * sides, 0, [width, height] * 2).astype(np.float32)
