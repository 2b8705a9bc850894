"""Two-means clustering of a small copy of the saliency map, as the released code does it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.masks.nearest import nearest
from medsam_exp.types import Mask, RGBImage, SaliencyMap, UserError

SEED, STARTS = 10, 10
"""Of the released code; its number of starts is the default of the scikit-learn that it names."""


@dataclass(frozen=True)
class KMeansReleased:
    """Splits the pixels of a square copy of the map into a dark and a bright cluster; bright is foreground.

    To reproduce the released code only: the map at 8 bits (there it comes from a picture file), its copy, and
    scikit-learn's k-means with that code's seed and starts. Both resizings take the nearest pixel, so the copy
    neglects the image's shape, and the mask's border comes out in blocks and up to a pixel too far down and right
    (both round down). Lloyd's iterations stop where they stand still, not always at the best split.

    `KMeans` has none of these defects. On M2IB maps of 30 drawn scans the two masks overlap with a mean DSC of 0.93
    (at least 0.91); with the exact split of the same copy with a mean of 0.996 (at least 0.95). A map takes 0.05
    to 0.09 s of one core, the exact split half a millisecond.

    Args:
        side: of the copy, in pixels; at least 1.

    Raises:
        UserError: the side is below 1.
    """

    side: int

    def __post_init__(self) -> None:
        if self.side < 1:
            raise UserError(f"postprocess.side is {self.side}, but the copy needs at least one pixel.")

    def __call__(self, saliency_map: SaliencyMap, image: RGBImage) -> Mask:
        """Return the brighter cluster (H, W) of a (H, W) map in [0, 1]; empty for a map whose copy is constant."""
        levels = np.rint(255 * saliency_map.astype(np.float64)) / 255
        return nearest(_iterated_two_means(nearest(levels, (self.side, self.side))), saliency_map.shape)


def _iterated_two_means(values: NDArray[np.float64]) -> Mask:
    """The brighter of two clusters of (h, w) values, as (h, w) bool, found by scikit-learn's `KMeans`; empty of one."""
    if values.min() == values.max():
        return np.zeros(values.shape, bool)
    from sklearn.cluster import KMeans  # takes a second to import

    found = KMeans(2, n_init=STARTS, random_state=SEED).fit(values.reshape(-1, 1))
    bright: Mask = (found.labels_ == found.cluster_centers_.argmax()).reshape(values.shape)
    return bright
