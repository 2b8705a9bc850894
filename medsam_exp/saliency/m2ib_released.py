"""M2IB with the geometry of the published code, whose maps are misaligned unless the image is square."""

from dataclasses import dataclass

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.centre_crop import CentreCrop
from medsam_exp.saliency.geometry import Geometry
from medsam_exp.saliency.m2ib import M2IB


@dataclass(frozen=True, kw_only=True)
class M2IBReleased(M2IB):
    """`M2IB` as the code published with MedCLIP-SAMv2 uses it; for reproducing that code's maps only.

    The bottleneck, its objective, Adam, the steps and the noise samples are the same. What differs is the frame:

    - in: the shorter side resized to the network's size and the middle square cut out, where the paper says that the
      image is resized to 224 x 224;
    - out: 14 x 14 to 224 x 224 bilinear, min-max, then the nearest value stretched over the whole image, 8 bits.

    On a square image only the blocky, 8-bit stretch is left of it. Not repeated: noise from one stream for all
    images, so that a map depended on those before it; and the loss of JPEG, which follows from a file's name.
    """

    def geometry(self, clip: ClipModel) -> Geometry:
        """The middle square in, stretched over the whole image out."""
        return CentreCrop(clip.preprocess)
