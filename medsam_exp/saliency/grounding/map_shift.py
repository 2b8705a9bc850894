"""How far a saliency map moves when another text is given."""

import numpy as np

from medsam_exp.types import SaliencyMap


def map_correlation(one: SaliencyMap, other: SaliencyMap) -> float:
    """Pearson correlation of two maps over all pixels.

    Args:
        one: (H, W) finite.
        other: (H, W) finite.

    Returns:
        In [-1, 1]; 1 means that the text made no difference. 0 when a map is constant, as it then follows nothing.
    """
    first, second = (map_.astype(np.float64) - map_.mean(dtype=np.float64) for map_ in (one, other))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    cosine = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
    return float(np.clip(cosine, -1, 1))


def peak_shift_px(one: SaliencyMap, other: SaliencyMap) -> float | None:
    """Distance between the peaks of two maps, in pixels of the original frame.

    The peak of a map with several equal maxima is the middle of them.

    Args:
        one: (H, W) finite.
        other: (H, W) finite.

    Returns:
        Distance in [0, image diagonal]; None when a map is constant and so has no peak.
    """
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    first, second = (np.argwhere(map_ == map_.max()).mean(axis=0) for map_ in (one, other))
    return float(np.hypot(*(first - second)))


def diagonal_px(shape: tuple[int, int]) -> float:
    """Greatest possible distance between the centres of two pixels of an (H, W) image; 1 for a single pixel."""
    height, width = shape
    return float(np.hypot(height - 1, width - 1)) or 1.0
