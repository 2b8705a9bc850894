"""What a mask covers, where it is: for texts that state a place or a size."""

from dataclasses import dataclass

from medsam_exp.clip.regions import cut_out
from medsam_exp.clip.text_match.contrast import TextMatch
from medsam_exp.types import Mask, RGBImage


@dataclass(frozen=True)
class InPlace(TextMatch):
    """Shows the whole frame, black around the mask."""

    def view(self, image: RGBImage, mask: Mask) -> RGBImage:
        """(H, W, 3), as large as the image; see `TextMatch`."""
        return cut_out(image, mask, (0, 0, image.shape[1], image.shape[0]))
