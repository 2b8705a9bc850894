"""Stage: does SAM draw what its prompts were made from? Needs no ground truth."""

from statistics import fmean

import numpy as np

from medsam_exp.metrics.overlap import dice
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.records import SamRecord


def run(context: StageContext) -> None:
    """Write the agreement of SAM's mask with the coarse one, and the IoU that SAM expects, of each pending sample.

    Agreement is the DSC of the two masks. The expected IoU is the mean over the prompts. Both are 0 where SAM's mask is
    empty, whatever SAM expects of it.
    """
    coarse, sam = context.parents["coarse_mask"], context.parents["sam_mask"]

    def result(sample_id: str) -> Result:
        first, last = coarse.mask(sample_id), sam.mask(sample_id)
        expected, found = sam.record(sample_id, SamRecord)["iou_predictions"], bool(np.any(last))
        scores = {
            "agreement": dice(last, first) if found else 0.0,
            "expected_iou": fmean(expected) if found and expected else 0.0,
        }
        return Result(sample_id, {"scores": {"sam": scores}})

    context.compute(result)
