"""From a saliency map to a coarse mask: post-processing, connected components, presence of the target, veto."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.masks.component_filter.confidence import ConfidentComponents as ConfidentComponents
    from medsam_exp.masks.component_filter.largest import LargestComponents as LargestComponents
    from medsam_exp.masks.component_filter.none import AllComponents as AllComponents
    from medsam_exp.masks.components import label_components as label_components
    from medsam_exp.masks.postprocess.crf import DenseCRF as DenseCRF
    from medsam_exp.masks.postprocess.kmeans import KMeans as KMeans
    from medsam_exp.masks.postprocess.kmeans_released import KMeansReleased as KMeansReleased
    from medsam_exp.masks.postprocess.otsu import Otsu as Otsu
    from medsam_exp.masks.postprocess.threshold import Threshold as Threshold
    from medsam_exp.masks.presence.calibrated import Calibrated as Calibrated
    from medsam_exp.masks.presence.clip_contrast import ClipContrast as ClipContrast
    from medsam_exp.masks.veto.none import NoVeto as NoVeto
    from medsam_exp.masks.veto.presence import PresenceVeto as PresenceVeto
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "component_filter.confidence": ("ConfidentComponents",),
            "component_filter.largest": ("LargestComponents",),
            "component_filter.none": ("AllComponents",),
            "components": ("label_components",),
            "postprocess.crf": ("DenseCRF",),
            "postprocess.kmeans": ("KMeans",),
            "postprocess.kmeans_released": ("KMeansReleased",),
            "postprocess.otsu": ("Otsu",),
            "postprocess.threshold": ("Threshold",),
            "presence.calibrated": ("Calibrated",),
            "presence.clip_contrast": ("ClipContrast",),
            "veto.none": ("NoVeto",),
            "veto.presence": ("PresenceVeto",),
        },
    )
