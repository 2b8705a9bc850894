"""SAMAug's random point: any pixel of SAM's first mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.augment import Choice, PointAugmentation
from medsam_exp.types import SaliencyMap


@dataclass(frozen=True)
class RandomPoint(PointAugmentation):
    """Each pixel is as probable; see `PointAugmentation`."""

    def choice(self, saliency_map: SaliencyMap) -> Choice:
        """One of the pixels at random."""
        return _any


def _any(pixels: NDArray[np.int64], _: NDArray[np.float64], generator: np.random.Generator) -> int:
    return int(generator.integers(len(pixels)))
