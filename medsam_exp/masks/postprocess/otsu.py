"""Otsu's threshold of a saliency map (paper eq. 17)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.types import Mask, RGBImage, SaliencyMap, UserError

_TIE = 3e-7  # relative; less than a float32 map can tell of a variance


@dataclass(frozen=True)
class Otsu:
    """Foreground is what reaches Otsu's threshold of the map's histogram (paper eq. 17).

    A map of at most `bins` levels, as an 8-bit picture is, is cut at the best of all places between two levels: that
    of scikit-image's `threshold_otsu` on the picture, what equals its threshold being background. A map of more
    levels is counted in `bins` equally wide bins. Each stands for the mean of its pixels and falls to one side as a
    whole, so the mask can differ from exact two-means (`KMeans`), which is this criterion without bins, by the
    pixels of one bin: 0.03 % on average, at most 0.16 %, on M2IB maps of 30 drawn scans.

    Args:
        bins: of the histogram, from the map's smallest to its largest value; at least 2.

    Raises:
        UserError: there are fewer than two bins.
    """

    bins: int

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise UserError(f"postprocess.bins is {self.bins}, but a threshold needs at least two bins.")

    def __call__(self, saliency_map: SaliencyMap, image: RGBImage) -> Mask:
        """Return the (H, W) mask of a finite (H, W) map; empty for a constant map."""
        ordered = np.sort(saliency_map, axis=None)
        if ordered[0] == ordered[-1]:
            return np.zeros(saliency_map.shape, bool)
        rises = ordered[1:] > ordered[:-1]
        if np.count_nonzero(rises) < self.bins:
            starts = np.append(0, np.flatnonzero(rises) + 1)
        else:
            starts = self._bin_starts(ordered)
        counts = np.diff(starts, append=len(ordered))
        cut = _best_cut(counts, np.add.reduceat(ordered, starts, dtype=np.float64))
        foreground: Mask = saliency_map >= ordered[starts[cut]]
        return foreground

    def _bin_starts(self, ordered: NDArray[np.float32]) -> NDArray[np.intp]:
        """Index of the first of the ascending values in each equally wide bin that has one, all found by bisection."""
        # float64, or bin edges would be rounded to float32 and pixels on an edge fall at random.
        lowest, highest = ordered[[0, -1]].astype(np.float64)
        numbers = np.arange(self.bins)
        first, last = np.zeros_like(numbers), np.full_like(numbers, len(ordered) - 1)
        while (first < last).any():
            middle = (first + last) // 2
            share = (ordered[middle].astype(np.float64) - lowest) / (highest - lowest)
            reached = share * self.bins >= numbers
            first, last = np.where(reached, first, middle + 1), np.where(reached, middle, last)
        return np.unique(first)


def _best_cut(counts: NDArray[np.int64], sums: NDArray[np.float64]) -> int:
    """First bin of the upper class, where ascending bins have the largest variance between the classes (Otsu 1979).

    Each of the b >= 2 bins has `counts` pixels, at least one, whose values have the sum `sums`. Of equally good cuts
    the lowest is taken.
    """
    lower = np.cumsum(counts[:-1], dtype=np.float64)
    total = counts.sum()
    # Sum of the lower class after moving the overall mean to 0, where the variance between is this simple.
    deviation = np.cumsum((sums - counts * (sums.sum() / total))[:-1])
    between = deviation**2 / (lower * (total - lower))
    return 1 + int(np.argmax(between >= between.max() * (1 - _TIE)))
