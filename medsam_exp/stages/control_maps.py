"""Stage: saliency maps of each image under texts that should not find its target."""

import numpy as np

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import stored_form
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import ControlRecord
from medsam_exp.training.saliency import ImageSaliency, SaliencyResult


def run(context: StageContext) -> None:
    """Write three maps, in the order of `KINDS`, for each pending sample; as `saliency` does."""
    texts = context.build("grounding").bind(context.dataset.samples, context.texts, context.seed)

    def result(sample_id: str, found: dict[str, SaliencyResult]) -> Result:
        stored = [stored_form(found[kind]) for kind in KINDS]
        stored_as = stored[0][1]  # the same of all
        info: ControlRecord = {
            "texts": {kind: list(texts[kind][sample_id]) for kind in KINDS},
            "relevance": {kind: relevance_features(found[kind].relevance) for kind in KINDS},
            **stored_as,
        }
        return Result(sample_id, info, np.stack([array for array, _ in stored]))

    clip = clip_of_run(context)
    answers = ImageSaliency(clip, context.build("saliency"), texts, context.seed)
    context.store(clip, answers, result, context.images(answers.geometry.preprocess))
