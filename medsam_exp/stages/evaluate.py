"""Stage: scores of masks and maps against ground truth; the only stage of a zero-shot run that reads it."""

import math
from collections import defaultdict
from statistics import fmean

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.runtime import distributed
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import read_map
from medsam_exp.stages.pipeline import mask_stages
from medsam_exp.types import Mask


def run(context: StageContext) -> None:
    """Write the scores of each pending sample; every process takes its share."""
    measures = context.build("metrics")
    labels = {stage: label for stage, label in mask_stages().items() if stage in context.parents}

    def result(sample_id: str) -> Result:
        truth = context.dataset.read_ground_truth(sample_id)
        scores = {
            label: _score(context, measures, sample_id, stage, truth) for stage, label in labels.items()
        }
        if "saliency" in context.parents:
            of_map = measures.of_map(read_map(context.parents["saliency"], sample_id), truth)
            scores |= {"saliency": of_map} if of_map else {}  # an image without a target has none
        if "presence" in context.parents:  # beside what the presence score says
            scores["presence"] = {"target_present": float(truth.any())}
        return Result(sample_id, {"scores": scores})

    dsc: dict[str, list[float]] = defaultdict(list)
    for each in context.computed(result):
        context.keep(each)
        found = {label: row["dsc"] for label, row in each.info["scores"].items() if "dsc" in row}
        context.log({f"live/{label}/dsc": value for label, value in found.items()})
        for label, value in found.items():
            dsc[label].append(value)
    shares = distributed.to_rank_zero(dict(dsc))
    for label in labels.values():
        if values := [value for share in shares for value in share.get(label, ())]:
            context.log({f"live/{label}/mean_dsc": fmean(values)})


def _score(
    context: StageContext, measures: SegmentationMeasures, sample_id: str, stage: str, truth: Mask
) -> dict[str, float]:
    """Scores of one mask; what is not defined for it is left out."""
    predicted = context.parents[stage].mask(sample_id)
    found = measures(predicted, truth, context.dataset.pixel_spacing_mm(sample_id))
    scores = {measure: float(value) for measure, value in found.items() if not math.isnan(value)}
    if truth.any():
        return scores | {"missed": float(not predicted.any())}
    return scores | {"false_mask": float(predicted.any())}
