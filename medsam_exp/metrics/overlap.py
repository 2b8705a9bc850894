"""Overlap of two masks: Dice similarity coefficient and intersection over union."""

import numpy as np

from medsam_exp.types import Mask


def dice(prediction: Mask, ground_truth: Mask) -> float:
    """Share of the two masks' total area that they have in common (DSC).

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; 1 when both are empty, 0 when only one is.
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(ground_truth)
    return float(2 * np.count_nonzero(prediction & ground_truth) / total) if total else 1.0


def iou(prediction: Mask, ground_truth: Mask) -> float:
    """Area that both masks cover, divided by the area that at least one covers (IoU, Jaccard index).

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; 1 when both are empty, 0 when only one is.
    """
    union = np.count_nonzero(prediction | ground_truth)
    return float(np.count_nonzero(prediction & ground_truth) / union) if union else 1.0
