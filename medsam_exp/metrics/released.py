"""The measures of the released evaluation beside the true ones, so that published numbers meet their like."""

from dataclasses import dataclass

from medsam_exp.metrics.nsd_released import nsd_released
from medsam_exp.metrics.overlap import dice
from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.types import Mask, UserError

_RELEASED_DECIMALS = 4


@dataclass(frozen=True)
class ReleasedMeasures(SegmentationMeasures):
    """Adds DSC and NSD as evaluation/eval.py of the released code gives them.

    - It takes a pixel for foreground above 200 of 255. The masks here are {0, 255}, so all of them stays; masks
      of {0, 1}, such as nnU-Net writes, vanish there, and are not reproduced.
    - NSD is that of a slab (`metrics/nsd_released.py`), mostly an overlap of areas with a tolerance.
    - It rounds each image's score to four decimals before it averages.

    Not reproduced, because they would make scores better than they are or end the run: a missing prediction is
    dropped there, while a run here is not done before every image has its mask; an empty prediction is an
    error there, while here it scores 0, or 1 where the true mask is empty too.

    Args:
        nsd_tolerance: of the true NSD, distance within which outlines agree, >= 0.
        tolerance_unit: of `nsd_tolerance`; "mm" needs data whose spacing is known.
        slab_tolerance_px: of the slab's NSD, >= 0; always in pixels, as the released code takes no spacing.

    Raises:
        UserError: a tolerance is negative or the unit unknown.
    """

    slab_tolerance_px: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.slab_tolerance_px >= 0:
            raise UserError(
                f"metrics.slab_tolerance_px is {self.slab_tolerance_px}, but it cannot be negative."
            )

    def names(self, spacing_mm: tuple[float, float] | None) -> tuple[str, ...]:
        """The measures that a call returns, in order."""
        return (*super().names(spacing_mm), "dsc_released", "nsd_released")

    def __call__(
        self, prediction: Mask, ground_truth: Mask, spacing_mm: tuple[float, float] | None
    ) -> dict[str, float]:
        """Score one image, as `SegmentationMeasures` does, and add `dsc_released` and `nsd_released` in [0, 1]."""
        slab = nsd_released(prediction, ground_truth, self.slab_tolerance_px)
        return {
            **super().__call__(prediction, ground_truth, spacing_mm),
            "dsc_released": round(dice(prediction, ground_truth), _RELEASED_DECIMALS),
            "nsd_released": round(slab, _RELEASED_DECIMALS),
        }
