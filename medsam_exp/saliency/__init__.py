"""Saliency methods: where in an image a text finds its match; one file each, one choice in conf/saliency."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.saliency.attention_rollout import AttentionRollout as AttentionRollout
    from medsam_exp.saliency.geometry import (
        Geometry as Geometry,
        Squash as Squash,
    )
    from medsam_exp.saliency.gradcam import GradCAM as GradCAM
    from medsam_exp.saliency.gradient_rollout import GradientRollout as GradientRollout
    from medsam_exp.saliency.gscorecam import GScoreCAM as GScoreCAM
    from medsam_exp.saliency.intensity import Intensity as Intensity
    from medsam_exp.saliency.m2ib import M2IB as M2IB
    from medsam_exp.saliency.m2ib_released import M2IBReleased as M2IBReleased
    from medsam_exp.saliency.method import SaliencyMethod as SaliencyMethod
    from medsam_exp.saliency.text_saliency.m2ib_text import M2IBText as M2IBText
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "attention_rollout": ("AttentionRollout",),
            "geometry": (
                "Geometry",
                "Squash",
            ),
            "gradcam": ("GradCAM",),
            "gradient_rollout": ("GradientRollout",),
            "gscorecam": ("GScoreCAM",),
            "intensity": ("Intensity",),
            "m2ib": ("M2IB",),
            "m2ib_released": ("M2IBReleased",),
            "method": ("SaliencyMethod",),
            "text_saliency.m2ib_text": ("M2IBText",),
        },
    )
