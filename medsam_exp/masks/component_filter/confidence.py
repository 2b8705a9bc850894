"""Component filter: the regions whose saliency is high on average (paper eq. 18-19)."""

from dataclasses import dataclass

from medsam_exp.masks.components import regions_of
from medsam_exp.types import Mask, SaliencyMap, UserError


@dataclass(frozen=True)
class ConfidentComponents:
    """Keeps every region whose confidence, its mean saliency (paper eq. 18), is above a threshold (eq. 19).

    As in the equation, a mask none of whose regions is confident becomes empty.

    Args:
        threshold: eta_c, in [0, 1).

    Raises:
        UserError: the threshold is outside [0, 1).
    """

    threshold: float

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise UserError(
                f"component_filter.threshold is {self.threshold}, but it must be at least 0 and below 1, "
                "the range of saliency."
            )

    def __call__(self, coarse_mask: Mask, saliency_map: SaliencyMap) -> Mask:
        """Return the (H, W) mask with the confident regions only, from (H, W) saliency in [0, 1]."""
        regions = regions_of(coarse_mask)
        return regions.only(regions.sums(saliency_map) > self.threshold * regions.areas)
