"""Stage: from image and text to a saliency map."""

import numpy as np
from numpy.typing import NDArray

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.fresh_weights import clip_of_run
from medsam_exp.stages.text_truncation import record_of_cuts, warn_of_cuts
from medsam_exp.training.saliency import SaliencyModule
from medsam_exp.types import SaliencyMap


def run(context: StageContext) -> None:
    """Write a float32 map in the original frame for each pending sample."""
    clip = clip_of_run(context)
    warn_of_cuts(clip, {name: context.texts[name] for name in context.pending})
    relevance: dict[str, dict[str, float]] = {}

    def note(sample_id: str, values: NDArray[np.float32]) -> None:
        relevance[sample_id] = relevance_features(values)

    def save(sample_id: str, saliency_map: SaliencyMap) -> None:
        peak_y, peak_x = np.unravel_index(int(saliency_map.argmax()), saliency_map.shape)
        info = {
            "texts": list(context.texts[sample_id]),
            **record_of_cuts(clip, context.texts[sample_id]),
            "presence": float(saliency_map.any()),
            "peak_x": int(peak_x),
            "peak_y": int(peak_y),
            "relevance": relevance.pop(sample_id),
        }
        context.artifacts.save(sample_id, info, saliency_map.astype(np.float32, copy=False))
        context.advance(1)

    module = SaliencyModule(
        clip, context.build("saliency"), context.texts, context.seed, save, see_relevance=note
    )
    context.predict(module, context.pending, module.geometry.preprocess)
