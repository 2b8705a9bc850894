"""Image-level uncertainty scores of an ensemble's mask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from medsam_exp.types import Mask

HIGHER_IS_SURER = frozenset({"expected_dsc"})
"""Scores that grow with confidence; all others grow with doubt."""
SCORES = {
    "entropy_inside": "mean entropy in the mask",
    "entropy_boundary": "mean entropy along the boundary",
    "mutual_information_boundary": "mutual information along the boundary",
    "entropy_per_edge_released": "entropy by edge length (released)",
    "expected_dsc": "expected DSC",
    "disagreement": "disagreement of the members",  # made where the members are known one by one
}
"""All scores that an image has, and how readers call them."""
_BAND_PX = 2
"""How far the band along the boundary reaches to each side (ours)."""

Map = NDArray[np.floating[Any]]
"""(H, W) float, original frame."""


def image_scores(foreground_probability: Map, maps: Mapping[str, Map], mask: Mask) -> dict[str, float]:
    """Score how sure an ensemble is of one image's mask.

    Args:
        foreground_probability: (H, W) in [0, 1], of the class that the mask shows.
        maps: (H, W) each, with `entropy` and `mutual_information` in nats, as of `EnsembleMoments.maps`.
        mask: (H, W) bool, the mask that is shown, of one class. With several classes the maps are those of all of them.

    Returns:
        `entropy_inside`; `entropy_boundary` and `mutual_information_boundary`; `entropy_per_edge_released`;
        `expected_dsc`. All but those in `HIGHER_IS_SURER` are higher where the ensemble is less sure.

    Raises:
        ValueError: not all have one shape.
    """
    shapes = {name: np.shape(values) for name, values in maps.items()}
    if np.shape(foreground_probability) != mask.shape or set(shapes.values()) - {mask.shape}:
        raise ValueError(
            f"the mask is {mask.shape}, the probability {np.shape(foreground_probability)}, {shapes}"
        )
    probability = np.asarray(foreground_probability, np.float64)
    found = {name: np.asarray(values, np.float64) for name, values in maps.items()}
    return {
        "entropy_inside": _mean_inside(found["entropy"], mask),
        "entropy_boundary": _mean_along_boundary(found["entropy"], mask),
        "mutual_information_boundary": _mean_along_boundary(found["mutual_information"], mask),
        "entropy_per_edge_released": _entropy_per_edge_released(found["entropy"], mask),
        "expected_dsc": expected_dsc(probability, mask),
    }


def uncertainties(scores: Mapping[str, float]) -> dict[str, float]:
    """The same scores, all turned so that higher means less sure: 1 - those in `HIGHER_IS_SURER`."""
    return {name: 1 - value if name in HIGHER_IS_SURER else value for name, value in scores.items()}


def _mean_inside(uncertainty: Map, mask: Mask) -> float:
    """Mean uncertainty of the pixels within the mask (Roy et al. 2019).

    Of an empty mask there is no inside: the image's most uncertain pixel stands for it, which no mean can exceed,
    so that a lesion that was nearly found and then missed does not look like a sure finding. It is small
    only where the ensemble is sure of every pixel that nothing is there.
    """
    return float(uncertainty[mask].mean() if mask.any() else uncertainty.max())


def _mean_along_boundary(uncertainty: Map, mask: Mask) -> float:
    """Mean uncertainty along the mask's outline, up to two pixels to each side of it.

    A larger object has more boundary and more unsure pixels; the mean does not grow with its size.
    A mask without an outline in the image, empty or full, takes the image's most uncertain pixel, as above.
    """
    if mask.all() or not mask.any():
        return float(uncertainty.max())
    distance = np.where(
        mask, scipy.ndimage.distance_transform_edt(mask), scipy.ndimage.distance_transform_edt(~mask)
    )
    return float(uncertainty[distance <= _BAND_PX].mean())


def _entropy_per_edge_released(entropy: Map, mask: Mask) -> float:
    """The released code's score: 100 times the summed entropy of the image, divided by its number of edge pixels.

    As there, entropy is in bits, and edge pixels are those outside the mask that touch it by a side or a corner.
    A mask without any, empty or full, divides by 0 there; here by 1, so that it comes out large but finite.
    """
    edge = scipy.ndimage.binary_dilation(mask, np.ones((3, 3), bool)) & ~mask
    return float(100 * entropy.sum() / np.log(2) / max(np.count_nonzero(edge), 1))


def expected_dsc(foreground_probability: Map, mask: Mask) -> float:
    """Soft Dice confidence: the DSC expected from the probabilities (Borges et al., arXiv:2402.10665).

    2 sum(p m) / (sum(p) + sum(m)), close to the expected DSC if pixels were independent. For an empty mask, whose
    DSC is 1 when there is no target and else 0, that expectation is the chance that no pixel is target, product
    of 1 - p: near 0 already where a few pixels' worth of probability is spread over the image.
    """
    probability = np.asarray(foreground_probability, np.float64)
    if not mask.any():
        with np.errstate(divide="ignore"):  # a pixel that is certain leaves no chance: exp(-inf) = 0
            return float(np.exp(np.log1p(-probability).sum()))
    return float(2 * probability[mask].sum() / (probability.sum() + np.count_nonzero(mask)))
