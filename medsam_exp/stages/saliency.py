"""Stage: from image and text to a saliency map."""

import numpy as np

from medsam_exp.lightning.saliency import SaliencyModule
from medsam_exp.stages.context import StageContext
from medsam_exp.types import SaliencyMap


def run(context: StageContext) -> None:
    """Write a float32 map in the original frame for each pending sample."""
    clip = build_clip(context)

    def save(sample_id: str, saliency_map: SaliencyMap) -> None:
        info = {"texts": list(context.texts[sample_id]), "empty": not bool(saliency_map.any())}
        context.artifacts.save(sample_id, info, saliency_map.astype(np.float32, copy=False))
        context.advance(1)

    module = SaliencyModule(clip, context.build("saliency"), context.texts, context.seed, save)
    context.predict(module, context.pending, clip.preprocess)


def build_clip(context: StageContext):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The CLIP model of the run: freshly fine-tuned weights when that stage is part of it."""
    tuned = context.parents.get("finetune_clip")
    if tuned is None:
        return context.build("clip")
    return context.build("clip", model=str(tuned.folder / "clip"), weights=None)
