"""Which images a report shows, and all that belongs to one of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from medsam_exp.types import Mask, Prompts, RGBImage, SaliencyMap


@dataclass(frozen=True, eq=False)
class Case:
    """One image with everything that a run found in it; parts that the run did not make are None.

    Attributes:
        sample_id: the image's id.
        text: what was looked for.
        image: (H, W, 3) uint8 RGB, original frame, as are all other arrays.
        saliency_map: (H, W) float32 in [0, 1].
        coarse_mask: (H, W) bool.
        prompts: visual prompts made from the coarse mask, in pixels.
        mask: (H, W) bool, SAM's mask.
        nnunet_masks: (H, W) bool each, by short name of the stage ("weak", "reference").
        ground_truth: (H, W) bool.
        scores: of the last stage's mask, by measure.
        scored: short name of that stage.
    """

    sample_id: str
    text: str
    image: RGBImage
    saliency_map: SaliencyMap | None = None
    coarse_mask: Mask | None = None
    prompts: Prompts | None = None
    mask: Mask | None = None
    nnunet_masks: Mapping[str, Mask] = field(default_factory=dict)
    ground_truth: Mask | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    scored: str = ""


def choose_cases(scores: Mapping[str, float], count_each: int = 3) -> list[tuple[str, str]]:
    """Choose the best, the median and the worst images; the same images whatever their order.

    Few images are shared out evenly, so that none is shown twice.

    Args:
        scores: one score by sample id, higher is better; not finite where there is no ground truth.
        count_each: how many of each kind, >= 0.

    Returns:
        (label, sample id), label "best", "median" or "worst", the extreme cases of a kind first; or, without
        any score, the first 3 x `count_each` ids as "example".
    """
    ranked = sorted((name for name in scores if math.isfinite(scores[name])), key=lambda n: (-scores[n], n))
    if not ranked:
        return [("example", name) for name in sorted(scores)[: 3 * count_each]]
    best, worst, median = (min(count_each, (len(ranked) + extra) // 3) for extra in (2, 1, 0))
    middle = ranked[best : len(ranked) - worst]
    first = (len(middle) - median) // 2
    return [
        *(("best", name) for name in ranked[:best]),
        *(("median", name) for name in middle[first : first + median]),
        *(("worst", name) for name in ranked[::-1][:worst]),
    ]
