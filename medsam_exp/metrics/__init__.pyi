from .full import FullMeasures as FullMeasures
from .measures import Measure as Measure
from .measures import register_measure as register_measure
from .overlap import (
    dice as dice,
)
from .overlap import (
    iou as iou,
)
from .overlap import (
    precision as precision,
)
from .overlap import (
    recall as recall,
)
from .overlap import (
    specificity as specificity,
)
from .paired import PairedComparison as PairedComparison
from .paired import compare_pairs as compare_pairs
from .paired import holm as holm
from .released import ReleasedMeasures as ReleasedMeasures
from .saliency_maps import (
    average_precision as average_precision,
)
from .saliency_maps import (
    peak_distance as peak_distance,
)
from .saliency_maps import (
    roc_auc as roc_auc,
)
from .scores import SegmentationMeasures as SegmentationMeasures
from .summary import summarise as summarise
from .surface import OutlineComparison as OutlineComparison
from .surface import compare_outlines as compare_outlines
from .torchmetric import SegmentationScores as SegmentationScores
