"""Stage: is the mask the same when the image is a little brighter? Needs no ground truth."""

import numpy as np

from medsam_exp.metrics.overlap import dice
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.pipeline import mask_stages


def run(context: StageContext) -> None:
    """Write the DSC of each mask with that of the changed image, of each pending sample.

    It is 0 where the run's own mask is empty: two empty masks are stable and of no use.
    """
    assert context.auxiliary is not None
    again = context.auxiliary.artifacts
    labels = {stage: label for stage, label in mask_stages().items() if stage in context.parents}

    def stability(stage: str, sample_id: str) -> float:
        mask = context.parents[stage].mask(sample_id)
        return dice(again[stage].mask(sample_id), mask) if np.any(mask) else 0.0

    def result(sample_id: str) -> Result:
        scores = {label: {"stability": stability(stage, sample_id)} for stage, label in labels.items()}
        return Result(sample_id, {"scores": scores})

    context.compute(result)
