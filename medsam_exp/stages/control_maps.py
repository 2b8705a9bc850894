"""Stage: saliency maps of each image under texts that should not find its target."""

import numpy as np

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import ControlRecord
from medsam_exp.training.saliency import ImageSaliency, SaliencyResult


def run(context: StageContext) -> None:
    """Write three float32 maps (3, H, W), in the order of `KINDS`, for each pending sample."""
    texts = context.build("grounding").bind(context.dataset.samples, context.texts, context.seed)

    def save(sample_id: str, results: dict[str, SaliencyResult]) -> None:
        info: ControlRecord = {
            "texts": {kind: list(texts[kind][sample_id]) for kind in KINDS},
            "relevance": {kind: relevance_features(results[kind].relevance) for kind in KINDS},
        }
        maps = np.stack([results[kind].saliency_map for kind in KINDS])
        context.save(sample_id, info, maps.astype(np.float32, copy=False))

    clip = clip_of_run(context)
    answers = ImageSaliency(clip, context.build("saliency"), texts, context.seed)
    context.predict(clip, answers, save, context.images(answers.geometry.preprocess))
