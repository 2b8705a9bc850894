"""Stage: from image and text to a saliency map."""

import numpy as np

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.stages.context import Result, StageContext
from medsam_exp.stages.maps import stored_form
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.records import SaliencyRecord
from medsam_exp.stages.text_truncation import records_of_cuts, warn_of_cuts
from medsam_exp.training.saliency import ImageSaliency, SaliencyResult

_TEXT = "text"


def run(context: StageContext) -> None:
    """Write a map for each pending sample, as a grid where its geometry allows (`medsam_exp.stages.maps`)."""
    clip = clip_of_run(context)
    cuts = records_of_cuts(clip, {name: context.texts[name] for name in context.pending})
    warn_of_cuts(cuts)

    def result(sample_id: str, found: dict[str, SaliencyResult]) -> Result:
        array, stored_as = stored_form(found[_TEXT])
        saliency_map = found[_TEXT].saliency_map
        peak_y, peak_x = np.unravel_index(int(saliency_map.argmax()), saliency_map.shape)
        info: SaliencyRecord = {
            "texts": list(context.texts[sample_id]),
            **cuts[sample_id],
            "presence": float(saliency_map.any()),
            "peak_x": int(peak_x),
            "peak_y": int(peak_y),
            "relevance": relevance_features(found[_TEXT].relevance),
            **stored_as,
        }
        if stored_as:  # a grid, of which the stages after this one would make the map again
            context.artifacts.kept_maps.keep(sample_id, saliency_map)
        return Result(sample_id, info, array)

    answers = ImageSaliency(clip, context.build("saliency"), {_TEXT: context.texts}, context.seed)
    context.store(clip, answers, result, context.images(answers.geometry.preprocess))
