"""Stage: saliency maps of each image under texts that should not find its target."""

from functools import partial
from typing import Any

import numpy as np

from medsam_exp.masks.presence.features import relevance_features
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.fresh_weights import clip_of_run
from medsam_exp.training.control_maps import ControlMapsModule
from medsam_exp.training.saliency import SaliencyModule
from medsam_exp.types import SaliencyMap


def run(context: StageContext) -> None:
    """Write three float32 maps (3, H, W), in the order of `KINDS`, for each pending sample."""
    clip, method = clip_of_run(context), context.build("saliency")
    texts = context.build("grounding").bind(context.dataset.samples, context.texts, context.seed)
    maps: dict[str, dict[str, SaliencyMap]] = {}
    relevance: dict[str, dict[str, dict[str, float]]] = {}

    def save(kind: str, sample_id: str, saliency_map: SaliencyMap) -> None:
        maps.setdefault(sample_id, {})[kind] = saliency_map

    def note(kind: str, sample_id: str, values: Any) -> None:
        relevance.setdefault(sample_id, {})[kind] = relevance_features(values)

    def finish(sample_ids: tuple[str, ...]) -> None:
        for sample_id in sample_ids:
            found = maps.pop(sample_id)
            info = {
                "texts": {kind: list(texts[kind][sample_id]) for kind in KINDS},
                "relevance": relevance.pop(sample_id),
            }
            stacked = np.stack([found[kind] for kind in KINDS]).astype(np.float32, copy=False)
            context.artifacts.save(sample_id, info, stacked)
        context.advance(len(sample_ids))

    modules = {
        kind: SaliencyModule(
            clip, method, texts[kind], context.seed, partial(save, kind), see_relevance=partial(note, kind)
        )
        for kind in KINDS
    }
    geometry = method.geometry(clip)
    context.predict(ControlMapsModule(modules, finish), context.pending, geometry.preprocess)
