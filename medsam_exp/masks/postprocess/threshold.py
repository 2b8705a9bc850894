"""A fixed threshold of the saliency map."""

from dataclasses import dataclass

from medsam_exp.types import Mask, RGBImage, SaliencyMap, UserError


@dataclass(frozen=True)
class Threshold:
    """Foreground is what lies above one value, the same for every image (released code).

    Unlike a threshold that is found per map (`Otsu`, `KMeans`) it takes the map's height at its word: a weak map
    gives an empty mask, a bright constant one a full mask.

    Args:
        value: in [0, 1]; saliency equal to it is background, as in the released code.

    Raises:
        UserError: the value is outside [0, 1].
    """

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise UserError(
                f"postprocess.value is {self.value}, but it must be at least 0 and at most 1, "
                "the range of saliency."
            )

    def __call__(self, saliency_map: SaliencyMap, image: RGBImage) -> Mask:
        """Return the (H, W) mask of a (H, W) map in [0, 1]."""
        return saliency_map > self.value
