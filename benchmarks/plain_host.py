"""What is done to each image beside the networks, in the plainest form: whole images, one step after the other."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, find_objects, label
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.types import Mask, RGBImage, SaliencyMap


def plain_read(path: Path) -> RGBImage:
    """(H, W, 3) uint8 RGB of an 8-bit PNG, gray or RGB; its checksums are compared."""
    with Image.open(path) as image:
        values = np.asarray(image)
    with Image.open(path) as image:
        image.verify()
    return np.array(values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1))


def plain_read_mask(path: Path) -> Mask:
    """(H, W) bool of an 8-bit PNG of two values, gray or RGB: the higher is foreground."""
    with Image.open(path) as image:
        values = np.asarray(image)
    with Image.open(path) as image:
        image.verify()
    levels = values if values.ndim == 2 else values.max(axis=-1)
    mask: Mask = levels == np.unique(levels)[1]
    return mask


def plain_to_original_frame(grid: Tensor, size: tuple[int, int]) -> SaliencyMap:
    """(H, W) float32 in [0, 1] of a (gh, gw) grid that is not constant: bilinear, then min-max."""
    stretched = interpolate(grid.double()[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    scaled: SaliencyMap = (
        ((stretched - stretched.min()) / (stretched.max() - stretched.min())).float().numpy()
    )
    return scaled


def plain_otsu(saliency_map: SaliencyMap, bins: int) -> Mask:
    """The (H, W) mask by Otsu's threshold of a map that is not constant; bins that are empty are left out."""
    levels, counts = np.unique(saliency_map.astype(np.float64), return_counts=True)
    number = np.arange(len(levels))
    if len(levels) > bins:
        share = (levels - levels[0]) / (levels[-1] - levels[0])
        number = np.minimum((share * bins).astype(int), bins - 1)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    pixels, sums = np.add.reduceat(counts, starts), np.add.reduceat(counts * levels, starts)
    lower, lower_sums = np.cumsum(pixels)[:-1], np.cumsum(sums)[:-1]
    upper = saliency_map.size - lower
    between = lower * upper * (lower_sums / lower - (sums.sum() - lower_sums) / upper) ** 2
    cut = 1 + int(np.argmax(between >= between.max() * (1 - 3e-7)))  # of equally good ones the lowest
    mask: Mask = saliency_map >= levels[starts[cut]]
    return mask


def plain_confident_components(mask: Mask, saliency_map: SaliencyMap, threshold: float) -> Mask:
    """The regions of an (H, W) mask whose mean saliency is above a threshold."""
    labels, count = label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    sums = np.bincount(labels.ravel(), weights=saliency_map.ravel(), minlength=count + 1)
    confident = sums > threshold * areas
    confident[0] = False
    return confident[labels]


def plain_boxes(mask: Mask) -> NDArray[np.float32]:
    """(N, 4) smallest box x0, y0, x1, y1 around each region of an (H, W) mask, in scan order."""
    places = find_objects(label(mask, structure=np.ones((3, 3)))[0])
    boxes = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in places]
    return np.array(boxes, np.float32).reshape(-1, 4)


def plain_peak_distance(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """Mean distance of the map's peaks from the target, pixels."""
    return float(distance_transform_edt(~ground_truth)[saliency_map == saliency_map.max()].mean())


def plain_roc_auc(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """scikit-learn's area under the ROC curve over pixels."""
    return float(roc_auc_score(ground_truth.ravel(), saliency_map.ravel()))


def plain_average_precision(saliency_map: SaliencyMap, ground_truth: Mask) -> float:
    """scikit-learn's average precision over pixels."""
    return float(average_precision_score(ground_truth.ravel(), saliency_map.ravel()))


def plain_outlines(
    first: Mask, second: Mask, spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Of each of two masks the (E,) distances of its outline's elements from the other outline, and their lengths."""
    lengths = [_lengths(mask, spacing) for mask in (first, second)]
    return tuple(
        (distance_transform_edt(other == 0, sampling=spacing)[own > 0], own[own > 0])
        for own, other in (lengths, lengths[::-1])
    )


def _lengths(mask: Mask, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """(H + 1, W + 1) length of the outline around each corner of the pixel grid."""
    padded = np.pad(mask, 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    inside = sum(part.astype(int) for part in (upper_left, upper_right, lower_left, lower_right))
    corner = 0.5 * np.hypot(*spacing)
    lengths = np.where((inside == 1) | (inside == 3), corner, 0.0)
    pairs = inside == 2
    lengths[pairs & (upper_left == upper_right)] = spacing[1]
    lengths[pairs & (upper_left == lower_left)] = spacing[0]
    lengths[pairs & (upper_left == lower_right)] = 2 * corner
    return lengths


def plain_nsd_released(first: Mask, second: Mask, tolerance_px: float) -> float:
    """Share of the surfaces of two slabs, one voxel thick, that is near the other's; both masks have foreground."""
    areas = [_areas(mask) for mask in (first, second)]
    within = sum(
        own[distance_transform_edt(other == 0) <= tolerance_px].sum() for own, other in (areas, areas[::-1])
    )
    return float(within / (areas[0].sum() + areas[1].sum()))


def _areas(mask: Mask) -> NDArray[np.float64]:
    """(H + 1, W + 1) surface of the slab's upper half around each corner of the pixel grid."""
    padded = np.pad(mask, 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    inside = sum(part.astype(int) for part in (upper_left, upper_right, lower_left, lower_right))
    cut, slanted = np.sqrt(3) / 8, np.sqrt(2) / 2
    areas: NDArray[np.float64] = np.array([0.0, cut, slanted, 0.5 + 3 * np.sqrt(3) / 8, 1.0])[inside]
    areas[(inside == 2) & (upper_left == lower_right)] = 2 * cut
    return areas
