"""Stage: scores of masks and maps against ground truth; the only stage of a zero-shot run that reads it."""

from typing import Any

from medsam_exp import distributed
from medsam_exp.metrics.pointing import peak_distance
from medsam_exp.stages.context import StageContext
from medsam_exp.types import Mask

MASK_STAGES = {"coarse_mask": "coarse", "sam_mask": "sam"}
"""Scored stages and the short names their scores carry."""


def run(context: StageContext) -> None:
    """Write the scores of each pending sample; every process takes its share."""
    measures = context.build("metrics")
    for sample_id in context.pending[distributed.rank() :: distributed.world_size()]:
        scores = _score(context, measures, sample_id)
        context.artifacts.save(sample_id, {"scores": scores})
        context.log({f"live/{stage}/dsc": row["dsc"] for stage, row in scores.items() if "dsc" in row})
        context.advance(1)


def _score(context: StageContext, measures: Any, sample_id: str) -> dict[str, dict[str, float]]:
    """Scores by short stage name."""
    truth: Mask = context.dataset.read_ground_truth(sample_id)
    scores = {
        short: measures(context.parents[stage].mask(sample_id), truth, context.dataset.spacing_mm)
        for stage, short in MASK_STAGES.items()
        if stage in context.parents
    }
    if "saliency" in context.parents and truth.any():
        saliency_map = context.parents["saliency"].saliency_map(sample_id)
        scores["saliency"] = {"peak_distance_px": peak_distance(saliency_map, truth)}
    return scores
