"""Stage: from image and text to a saliency map."""

from typing import Any

import numpy as np

from medsam_exp.lightning.saliency import SaliencyModule
from medsam_exp.stages.context import StageContext
from medsam_exp.types import SaliencyMap


def run(context: StageContext) -> None:
    """Write a float32 map in the original frame for each pending sample."""
    clip = _clip(context)

    def save(sample_id: str, saliency_map: SaliencyMap) -> None:
        peak_y, peak_x = np.unravel_index(int(saliency_map.argmax()), saliency_map.shape)
        info = {
            "texts": list(context.texts[sample_id]),
            "presence": float(saliency_map.any()),
            "peak_x": int(peak_x),
            "peak_y": int(peak_y),
        }
        context.artifacts.save(sample_id, info, saliency_map.astype(np.float32, copy=False))
        context.advance(1)

    module = SaliencyModule(clip, context.build("saliency"), context.texts, context.seed, save)
    context.predict(module, context.pending, clip.preprocess)


def _clip(context: StageContext) -> Any:
    """The CLIP model of the run: freshly fine-tuned weights when that stage is part of it."""
    tuned = context.parents.get("finetune_clip")
    if tuned is None:
        return context.build("clip")
    return context.build("clip", model=str(tuned.folder / "clip"), weights=None)
