"""Overlap of two masks: Dice, intersection over union, precision, recall and specificity."""

import numpy as np

from medsam_exp.types import Mask


def dice(prediction: Mask, ground_truth: Mask) -> float:
    """Share of the two masks' total area that they have in common (DSC).

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; 1 when both are empty, 0 when only one is.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import dice
        >>> dice(np.array([[True, True, True]]), np.array([[True, False, False]]))
        0.5
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

    Example:
        >>> import numpy as np
        >>> from medsam_exp import iou
        >>> iou(np.array([[True, True]]), np.array([[True, False]]))
        0.5
    """
    union = np.count_nonzero(prediction | ground_truth)
    return float(np.count_nonzero(prediction & ground_truth) / union) if union else 1.0


def precision(prediction: Mask, ground_truth: Mask) -> float:
    """Share of the predicted area that is truly target (positive predictive value).

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; 1 when both are empty, 0 when only one is.
    """
    return recall(ground_truth, prediction)


def recall(prediction: Mask, ground_truth: Mask) -> float:
    """Share of the target's area that was found (sensitivity).

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; 1 when both are empty, 0 when only one is: finding what is not there counts as a fault here
        as it does for DSC, though no target is missed.
    """
    target = np.count_nonzero(ground_truth)
    if not target:
        return float(not prediction.any())
    return float(np.count_nonzero(prediction & ground_truth) / target)


def specificity(prediction: Mask, ground_truth: Mask) -> float:
    """Share of the area outside the target that was left alone.

    Small targets make it close to 1 whatever is predicted; read it beside `recall`.

    Args:
        prediction: (H, W) bool.
        ground_truth: (H, W) bool.

    Returns:
        In [0, 1]; where the target covers the whole image, 1 when the prediction does too, else 0.
    """
    return recall(~prediction, ~ground_truth)
