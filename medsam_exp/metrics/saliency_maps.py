"""Measures of a saliency map: does it point at the target, rank its pixels first, and keep what the network used?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from medsam_exp.metrics.places import bounding_box, places
from medsam_exp.types import Mask, SaliencyMap

_FEW = 0.05
"""Share of an image's pixels up to which peaks are looked up faster in a tree than by a distance transform."""


def peak_distance(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Distance of the map's peak from the nearest pixel of the target, as in the pointing game.

    The pointing game is of Zhang et al. 2018 (DOI 10.1007/s11263-017-1059-x).

    Several equal peaks count with their mean, so a constant map scores like a random guess.

    Args:
        saliency_map: (H, W) finite, original frame.
        ground_truth: (H, W) bool, not empty.

    Returns:
        Distance in pixels, 0 inside the target; compare with a tolerance to count hits.

    Raises:
        ValueError: there is no target to point at.
    """
    if not ground_truth.any():
        raise ValueError("peak_distance needs a target, but the true mask is empty")
    peaks = saliency_map == saliency_map.max()
    if np.count_nonzero(peaks) > _FEW * peaks.size:
        return float(distance_transform_edt(~ground_truth)[peaks].mean())
    from scipy.spatial import KDTree  # slow to import, and commands that score nothing need not wait for it

    distances, _ = KDTree(_rim(ground_truth)).query(places(peaks))
    return float(np.where(ground_truth[peaks], 0.0, distances).mean())


def _rim(mask: Mask) -> NDArray[np.intp]:
    """(n, 2) row and column of a mask's pixels that have a neighbour outside, so all that are nearest to anywhere."""
    box = bounding_box(mask)
    padded = np.pad(mask[box], 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: NDArray[np.intp] = places(mask[box] & ~inner) + np.array([side.start for side in box])
    return rim


@dataclass(frozen=True)
class Ranking:
    """How many pixels are at least as bright as each of a map's values, which ascend.

    Attributes:
        inside: (k,) such pixels of the target; the first counts all of them.
        outside: (k,) the others.
    """

    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @classmethod
    def of(cls, saliency_map: SaliencyMap, ground_truth: Mask) -> "Ranking":
        """Rank the pixels of a map.

        Args:
            saliency_map: (H, W) float32, finite and not below 0, original frame.
            ground_truth: (H, W) bool.

        Raises:
            ValueError: the map has negative values or such that are not finite.
        """
        if not 0 <= saliency_map.min() <= saliency_map.max() < np.inf:
            raise ValueError(
                "pixels are ranked by finite saliency of at least 0, but the map has other values"
            )
        # The bits of float32 from 0 on ascend as the numbers do, and leave one bit free: is it in the target?
        bits = np.ascontiguousarray(saliency_map, np.float32).view(np.uint32)
        ordered = np.sort(bits << 1 | ground_truth, axis=None)
        values = ordered >> 1
        starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
        below = np.append(0, np.cumsum(ordered & 1, dtype=np.int64))
        inside = below[-1] - below[starts]
        return cls(inside, len(ordered) - starts - inside)

    def roc_auc(self) -> float:
        """Area under the ROC curve; see the function of that name. Both kinds of pixel must occur."""
        steps = np.diff(self.inside), np.diff(self.outside)
        bends = (steps[0][1:] != steps[0][:-1]) | (steps[1][1:] != steps[1][:-1])
        corners = np.concatenate(([0], np.flatnonzero(bends) + 1, [len(self.inside) - 1]))[::-1]
        found, mistaken = (
            np.append(0, counts[corners]) / counts[0] for counts in (self.inside, self.outside)
        )
        return float(np.trapezoid(found, mistaken))

    def average_precision(self) -> float:
        """Average precision; see the function of that name. There must be a target."""
        recall = np.append(self.inside / self.inside[0], 0.0)
        terms = np.zeros(len(self.inside))
        some = np.flatnonzero(np.diff(self.inside, append=0))
        precision = self.inside[some] / (self.inside[some] + self.outside[some])
        terms[some] = (recall[some] - recall[some + 1]) * precision
        return float(terms.sum())


def roc_auc(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Chance that a pixel of the target is brighter than one outside it: area under the ROC curve over pixels.

    Args:
        saliency_map: (H, W) finite and not below 0, original frame.
        ground_truth: (H, W) bool, with pixels inside and outside the target.

    Returns:
        In [0, 1]; 0.5 for a constant map, as for chance; equal values count half.

    Raises:
        ValueError: the true mask is empty or covers the whole image, so that there is nothing to tell apart; or the map
            has negative values or such that are not finite.
    """
    if ground_truth.all() or not ground_truth.any():
        raise ValueError("roc_auc needs pixels inside and outside the target")
    return Ranking.of(saliency_map, ground_truth).roc_auc()


def average_precision(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Precision at each threshold of the map, averaged over the target's pixels (area under precision and recall).

    Args:
        saliency_map: (H, W) finite and not below 0, original frame.
        ground_truth: (H, W) bool, not empty.

    Returns:
        In (0, 1]; the target's share of the image for a constant map, as for chance: compare with that.

    Raises:
        ValueError: the true mask is empty; or the map has negative values or such that are not finite.
    """
    if not ground_truth.any():
        raise ValueError("average_precision needs a target, but the true mask is empty")
    return Ranking.of(saliency_map, ground_truth).average_precision()


def confidence_drop(original: float, masked: float) -> float | None:
    """Share of the match of image and text that is lost when only the salient part of the image is left.

    Args:
        original: similarity of the text and the whole image.
        masked: similarity of the text and the image masked by its map.

    Returns:
        max(0, original - masked) / original, >= 0 and lower is better; above 1 when the masked image speaks against
        the text. None when the whole image does not match its text (original <= 0), as there is nothing to lose.
    """
    return max(0.0, original - masked) / original if original > 0 else None


def confidence_increase(original: float, masked: float) -> float:
    """Whether the salient part alone matches the text better than the whole image: 1 or 0; higher is better."""
    return float(masked > original)
