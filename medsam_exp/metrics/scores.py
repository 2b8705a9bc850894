"""All measures of one predicted mask, and of one saliency map."""

from dataclasses import dataclass
from typing import Literal

from medsam_exp.metrics.overlap import dice, iou
from medsam_exp.metrics.saliency_maps import peak_distance
from medsam_exp.metrics.surface import compare_outlines
from medsam_exp.types import Mask, SaliencyMap, UserError


@dataclass(frozen=True)
class SegmentationMeasures:
    """Scores a predicted mask against the true one: area overlap and distance of the outlines.

    Args:
        nsd_tolerance: distance within which outlines agree, >= 0.
        tolerance_unit: of `nsd_tolerance`; "mm" needs data whose spacing is known.

    Raises:
        UserError: the tolerance is negative or the unit unknown.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import SegmentationMeasures
        >>> measures = SegmentationMeasures(nsd_tolerance=2.0, tolerance_unit="px")
        >>> mask = np.eye(4, dtype=bool)
        >>> scores = measures(mask, mask, None)
        >>> scores["dsc"], scores["hd95_px"]
        (1.0, 0.0)
    """

    nsd_tolerance: float
    tolerance_unit: Literal["px", "mm"]

    def __post_init__(self) -> None:
        if not self.nsd_tolerance >= 0:
            raise UserError(f"metrics.nsd_tolerance is {self.nsd_tolerance}, but it cannot be negative.")
        if self.tolerance_unit not in ("px", "mm"):
            raise UserError(f"metrics.tolerance_unit is {self.tolerance_unit!r}, but it must be px or mm.")

    def names(self, spacing_mm: tuple[float, float] | None) -> tuple[str, ...]:
        """The measures that a call returns, in order."""
        return ("dsc", "iou", "nsd", "hd95_px", *(("hd95_mm",) if spacing_mm else ()))

    def __call__(
        self, prediction: Mask, ground_truth: Mask, spacing_mm: tuple[float, float] | None
    ) -> dict[str, float]:
        """Score one image.

        Args:
            prediction: (H, W) bool, original frame.
            ground_truth: (H, W) bool, original frame.
            spacing_mm: (row, column) size of a pixel, or None when unknown.

        Returns:
            `dsc`, `iou` and `nsd` in [0, 1], `hd95_px` in pixels, and `hd95_mm` where the spacing is known.
            Two empty masks score 1 and distance 0; one empty mask scores 0 and the image's diagonal.

        Raises:
            UserError: the masks differ in size, or a tolerance in mm meets an unknown spacing.
        """
        if prediction.shape != ground_truth.shape:
            raise UserError(
                f"the predicted mask has (H, W) {prediction.shape}, but the true mask {ground_truth.shape}: "
                "both must have the image's size."
            )
        if self.tolerance_unit == "mm" and spacing_mm is None:
            raise UserError(
                "metrics.tolerance_unit is mm, but the size of a pixel is unknown: "
                "set data.spacing_mm or use metrics.tolerance_unit=px."
            )
        outlines = {"px": compare_outlines(prediction, ground_truth)}
        if spacing_mm is not None:
            outlines["mm"] = compare_outlines(prediction, ground_truth, spacing_mm)
        return {
            "dsc": dice(prediction, ground_truth),
            "iou": iou(prediction, ground_truth),
            "nsd": outlines[self.tolerance_unit].nsd(self.nsd_tolerance),
            **{f"hd95_{unit}": comparison.hd95() for unit, comparison in outlines.items()},
        }

    def of_map(self, saliency_map: SaliencyMap, ground_truth: Mask) -> dict[str, float]:
        """Score one saliency map: where it points.

        Args:
            saliency_map: (H, W) in [0, 1], original frame.
            ground_truth: (H, W) bool, original frame.

        Returns:
            `peak_distance_px`, the distance of the map's peak from the target; nothing for an image without a target.
        """
        return {"peak_distance_px": peak_distance(saliency_map, ground_truth)} if ground_truth.any() else {}
