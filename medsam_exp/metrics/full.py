"""The usual measures of a mask and of a saliency map, and those that say which way a mask is wrong."""

from dataclasses import dataclass

from medsam_exp.metrics.overlap import precision, recall, specificity
from medsam_exp.metrics.saliency_maps import Ranking
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.types import Mask, SaliencyMap


@dataclass(frozen=True)
class FullMeasures(SegmentationMeasures):
    """Adds precision, recall and specificity of masks, ROC AUC and average precision of saliency maps."""

    def names(self, spacing_mm: tuple[float, float] | None) -> tuple[str, ...]:
        """The measures that a call returns, in order."""
        return (*super().names(spacing_mm), "precision", "recall", "specificity")

    def __call__(
        self, prediction: Mask, ground_truth: Mask, spacing_mm: tuple[float, float] | None
    ) -> dict[str, float]:
        """Score one image, as `SegmentationMeasures` does, and add `precision`, `recall` and `specificity`."""
        return {
            **super().__call__(prediction, ground_truth, spacing_mm),
            "precision": precision(prediction, ground_truth),
            "recall": recall(prediction, ground_truth),
            "specificity": specificity(prediction, ground_truth),
        }

    def of_map(self, saliency_map: SaliencyMap, ground_truth: Mask) -> dict[str, float]:
        """Score one map: `peak_distance_px`, `average_precision` and `roc_auc`.

        Nothing for an image without a target; no `roc_auc` where the target covers the whole image.
        """
        scores = super().of_map(saliency_map, ground_truth)
        if ground_truth.any():
            ranking = Ranking.of(saliency_map, ground_truth)
            scores["average_precision"] = ranking.average_precision()
            if not ground_truth.all():
                scores["roc_auc"] = ranking.roc_auc()
        return scores
