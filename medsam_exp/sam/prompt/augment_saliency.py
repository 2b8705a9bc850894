"""A point by saliency: the pixel of SAM's first mask that the map says most of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.sam.prompt.augment import Choice, PointAugmentation
from medsam_exp.types import SaliencyMap


@dataclass(frozen=True)
class SalientPoint(PointAugmentation):
    """The highest value of the text's map; of equals the first in scan order; see `PointAugmentation`.

    SAMAug asks a network for salient objects, which knows no text (VST), and takes a random pixel of what it finds;
    that network is not here.
    """

    def choice(self, saliency_map: SaliencyMap) -> Choice:
        """The most salient pixel of a (H, W) map."""
        return _MostSalient(saliency_map)


@dataclass(frozen=True)
class _MostSalient:
    saliency_map: SaliencyMap

    def __call__(
        self, pixels: NDArray[np.int64], first: NDArray[np.float64], generator: np.random.Generator
    ) -> int:
        return int(self.saliency_map[pixels[:, 1], pixels[:, 0]].argmax())
