"""Does the saliency map point at the target (the pointing game of Zhang et al. 2018)?"""

from scipy.ndimage import distance_transform_edt

from medsam_exp.types import Mask, SaliencyMap


def peak_distance(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """How far the map's peak lies from the nearest pixel of the target.

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
    distance = distance_transform_edt(~ground_truth)
    return float(distance[saliency_map == saliency_map.max()].mean())
