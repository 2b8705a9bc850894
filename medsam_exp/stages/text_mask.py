"""Stage: from image and text to a mask by a network that needs no saliency map."""

from functools import partial

from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.networks import text_segmenter_of_run
from medsam_exp.stages.records import TextMaskRecord
from medsam_exp.stages.text_truncation import records_of_cuts, warn_of_cuts
from medsam_exp.text_segmenter.segmenter import TextMask
from medsam_exp.training.text_segmentation import prepare_images, text_masks


def run(context: StageContext) -> None:
    """Write a mask in the original frame, and the network's own presence, for each pending sample."""
    segmenter = text_segmenter_of_run(context)
    cuts = records_of_cuts(segmenter, {name: context.texts[name] for name in context.pending})
    warn_of_cuts(cuts)

    def result(sample_id: str, found: TextMask) -> Result:
        info: TextMaskRecord = {
            "texts": list(context.texts[sample_id]),
            **cuts[sample_id],
            "presence": found.presence,
            "boxes_xyxy": found.boxes_xyxy,
            "scores": found.scores,
        }
        return Result(sample_id, info, found.mask.cpu().numpy())

    answers = partial(text_masks, segmenter, context.texts)
    read = partial(prepare_images, context.read_image, segmenter)
    context.store(segmenter, answers, result, read)
