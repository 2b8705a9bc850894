"""How good a mask or a map is: pure functions of arrays, then their summary over images."""

from typing import TYPE_CHECKING

from medsam_exp.runtime.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from medsam_exp.metrics.live import SegmentationScores as SegmentationScores
    from medsam_exp.metrics.full import FullMeasures as FullMeasures
    from medsam_exp.metrics.measures import (
        Measure as Measure,
        register_measure as register_measure,
    )
    from medsam_exp.metrics.overlap import (
        dice as dice,
        iou as iou,
        precision as precision,
        recall as recall,
        specificity as specificity,
    )
    from medsam_exp.metrics.paired import (
        PairedComparison as PairedComparison,
        compare_pairs as compare_pairs,
        holm as holm,
    )
    from medsam_exp.metrics.saliency_maps import (
        average_precision as average_precision,
        peak_distance as peak_distance,
        roc_auc as roc_auc,
    )
    from medsam_exp.metrics.released import ReleasedMeasures as ReleasedMeasures
    from medsam_exp.metrics.scores import SegmentationMeasures as SegmentationMeasures
    from medsam_exp.metrics.summary import summarise as summarise
    from medsam_exp.metrics.surface import (
        OutlineComparison as OutlineComparison,
        compare_outlines as compare_outlines,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "live": ("SegmentationScores",),
            "full": ("FullMeasures",),
            "measures": (
                "Measure",
                "register_measure",
            ),
            "overlap": (
                "dice",
                "iou",
                "precision",
                "recall",
                "specificity",
            ),
            "paired": (
                "PairedComparison",
                "compare_pairs",
                "holm",
            ),
            "saliency_maps": (
                "average_precision",
                "peak_distance",
                "roc_auc",
            ),
            "released": ("ReleasedMeasures",),
            "scores": ("SegmentationMeasures",),
            "summary": ("summarise",),
            "surface": (
                "OutlineComparison",
                "compare_outlines",
            ),
        },
    )
