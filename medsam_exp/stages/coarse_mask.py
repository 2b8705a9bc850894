"""Stage: from a saliency map to a coarse mask."""

from collections.abc import Callable

import numpy as np

from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.records import CoarseRecord, PresenceRecord
from medsam_exp.types import Mask, RGBImage, SaliencyMap


def run(context: StageContext) -> None:
    """Write a mask in the original frame for each pending sample; a vetoed one is empty, and its record says so."""
    make, presence = mask_maker(context), context.parents.get("presence")

    def result(sample_id: str) -> Result:
        saliency_map = read_map(context.parents["saliency"], sample_id)
        score = presence.record(sample_id, PresenceRecord)["score"] if presence else None
        coarse_mask, vetoed = make(saliency_map, context.read_image(sample_id), score)
        info: CoarseRecord = {
            "vetoed": vetoed,
            "presence": float(coarse_mask.any()),
            "area_px": int(coarse_mask.sum()),
        }
        return Result(sample_id, info, coarse_mask)

    context.compute(result)


def mask_maker(context: StageContext) -> Callable[[SaliencyMap, RGBImage, float | None], tuple[Mask, bool]]:
    """What makes the run's coarse mask: post-processor, component filter, veto.

    Returns:
        From a map (H, W) and its image (H, W, 3), both original frame, and a presence score to the mask (H, W), and
        whether it was vetoed.
    """
    postprocess, component_filter = context.build("postprocess"), context.build("component_filter")
    veto = context.build("veto")

    def make(saliency_map: SaliencyMap, image: RGBImage, presence: float | None) -> tuple[Mask, bool]:
        if veto(presence):
            return np.zeros(saliency_map.shape, bool), True
        return component_filter(postprocess(saliency_map, image), saliency_map), False

    return make
