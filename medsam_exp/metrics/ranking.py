"""Does a saliency map rank the target's pixels above all others, whatever threshold one would choose?"""

from sklearn.metrics import average_precision_score, roc_auc_score

from medsam_exp.types import Mask, SaliencyMap


def roc_auc(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Chance that a pixel of the target is brighter than one outside it: area under the ROC curve over pixels.

    Args:
        saliency_map: (H, W) finite, original frame.
        ground_truth: (H, W) bool, with pixels inside and outside the target.

    Returns:
        In [0, 1]; 0.5 for a constant map, as for chance; equal values count half.

    Raises:
        ValueError: the true mask is empty or covers the whole image, so that there is nothing to tell apart.
    """
    if ground_truth.all() or not ground_truth.any():
        raise ValueError("roc_auc needs pixels inside and outside the target")
    return float(roc_auc_score(ground_truth.ravel(), saliency_map.ravel()))


def average_precision(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Precision at each threshold of the map, averaged over the target's pixels (area under precision and recall).

    Args:
        saliency_map: (H, W) finite, original frame.
        ground_truth: (H, W) bool, not empty.

    Returns:
        In (0, 1]; the target's share of the image for a constant map, as for chance: compare with that.

    Raises:
        ValueError: the true mask is empty.
    """
    if not ground_truth.any():
        raise ValueError("average_precision needs a target, but the true mask is empty")
    return float(average_precision_score(ground_truth.ravel(), saliency_map.ravel()))
