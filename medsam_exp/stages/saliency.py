"""Stage: from image and text to a saliency map."""

import numpy as np

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.maps import stored_form
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import SaliencyRecord
from medsam_exp.stages.text_truncation import record_of_cuts, warn_of_cuts
from medsam_exp.training.saliency import ImageSaliency, SaliencyResult

_TEXT = "text"


def run(context: StageContext) -> None:
    """Write a map for each pending sample, as a grid where its geometry allows (`medsam_exp.stages.maps`)."""
    clip = clip_of_run(context)
    warn_of_cuts(clip, {name: context.texts[name] for name in context.pending})

    def save(sample_id: str, results: dict[str, SaliencyResult]) -> None:
        result = results[_TEXT]
        array, stored_as = stored_form(result)
        saliency_map = result.saliency_map
        peak_y, peak_x = np.unravel_index(int(saliency_map.argmax()), saliency_map.shape)
        info: SaliencyRecord = {
            "texts": list(context.texts[sample_id]),
            **record_of_cuts(clip, context.texts[sample_id]),
            "presence": float(saliency_map.any()),
            "peak_x": int(peak_x),
            "peak_y": int(peak_y),
            "relevance": relevance_features(result.relevance),
            **stored_as,
        }
        context.save(sample_id, info, array)

    answers = ImageSaliency(clip, context.build("saliency"), {_TEXT: context.texts}, context.seed)
    context.predict(clip, answers, save, context.images(answers.geometry.preprocess))
