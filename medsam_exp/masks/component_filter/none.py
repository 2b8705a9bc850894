"""No component filter: the coarse mask as it is."""

from medsam_exp.types import Mask, SaliencyMap


class AllComponents:
    """Keeps every region."""

    def __call__(self, coarse_mask: Mask, saliency_map: SaliencyMap) -> Mask:
        """Return the (H, W) mask unchanged; (H, W) saliency is not looked at."""
        return coarse_mask
