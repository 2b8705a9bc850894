"""Stage: from a saliency map to a coarse mask."""

from medsam_exp.stages.context import StageContext
from medsam_exp.stages.records import CoarseRecord, PresenceRecord


def run(context: StageContext) -> None:
    """Write a mask in the original frame for each pending sample: post-processor, component filter, veto.

    A vetoed sample's mask is empty, and its record says so.
    """
    postprocess, component_filter = context.build("postprocess"), context.build("component_filter")
    veto, scored = context.build("veto"), context.parents.get("presence")
    for sample_id in context.pending:
        saliency_map = context.parents["saliency"].saliency_map(sample_id)
        binary = postprocess(saliency_map, context.dataset.read_image(sample_id))
        coarse_mask = component_filter(binary, saliency_map)
        vetoed = veto(scored.record(sample_id, PresenceRecord)["score"] if scored else None)
        coarse_mask &= not vetoed
        info: CoarseRecord = {
            "vetoed": vetoed,
            "presence": float(coarse_mask.any()),
            "area_px": int(coarse_mask.sum()),
        }
        context.artifacts.save(sample_id, info, coarse_mask)
        context.advance(1)
