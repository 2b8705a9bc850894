"""Stage: scores of masks and maps against ground truth; the only stage of a zero-shot run that reads it."""

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.torchmetric import SegmentationScores
from medsam_exp.runtime import distributed
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.pipeline import mask_stages


def run(context: StageContext) -> None:
    """Write the scores of each pending sample; every process takes its share."""
    measures = context.build("metrics")
    totals = {
        stage: SegmentationScores(measures, context.seed)
        for stage in mask_stages()
        if stage in context.parents
    }
    mine = range(distributed.rank(), len(context.pending), distributed.world_size())
    for index in mine:
        sample_id = context.pending[index]
        scores = {
            mask_stages()[stage]: _score(context, total, index, stage) for stage, total in totals.items()
        }
        scores |= _score_map(context, measures, sample_id) | _presence_truth(context, sample_id)
        context.save(sample_id, {"scores": scores})
        context.log({f"live/{stage}/dsc": row["dsc"] for stage, row in scores.items() if "dsc" in row})
    for stage, total in totals.items():
        over_all_processes = total.compute()
        context.log({f"live/{mask_stages()[stage]}/mean_dsc": over_all_processes["dsc"]["mean"]})


def _score(context: StageContext, total: SegmentationScores, index: int, stage: str) -> dict[str, float]:
    """Scores of one mask, which also count in the total."""
    sample_id = context.pending[index]
    predicted = context.parents[stage].mask(sample_id)
    truth = context.dataset.read_ground_truth(sample_id)
    figures = total([index], [predicted], [truth], [context.dataset.pixel_spacing_mm(sample_id)])
    scores = {measure: figure["mean"] for measure, figure in figures.items()}
    if truth.any():
        return scores | {"missed": float(not predicted.any())}
    return scores | {"false_mask": float(predicted.any())}


def _score_map(
    context: StageContext, measures: SegmentationMeasures, sample_id: str
) -> dict[str, dict[str, float]]:
    """Scores of the saliency map; an image without a target has none."""
    if "saliency" not in context.parents:
        return {}
    saliency_map = read_map(context.parents["saliency"], sample_id)
    scores = measures.of_map(saliency_map, context.dataset.read_ground_truth(sample_id))
    return {"saliency": scores} if scores else {}


def _presence_truth(context: StageContext, sample_id: str) -> dict[str, dict[str, float]]:
    """Whether the target is there, beside what the presence score says."""
    if "presence" not in context.parents:
        return {}
    return {"presence": {"target_present": float(context.dataset.read_ground_truth(sample_id).any())}}
