"""SAMAug's point of maximum distance: the pixel of SAM's first mask farthest from the first point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.augment import Choice, PointAugmentation
from medsam_exp.types import SaliencyMap


@dataclass(frozen=True)
class FarthestPoint(PointAugmentation):
    """Euclidean distance; of equals the first in scan order; see `PointAugmentation`.

    The released code takes the distance between a pixel's (row, column) and the point's (x, y); here both are (x, y).
    """

    def choice(self, saliency_map: SaliencyMap) -> Choice:
        """The farthest pixel."""
        return _farthest


def _farthest(pixels: NDArray[np.int64], first: NDArray[np.float64], _: np.random.Generator) -> int:
    return int(((pixels - first) ** 2).sum(axis=1).argmax())
