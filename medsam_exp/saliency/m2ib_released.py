"""M2IB with the geometry of the published code, whose maps are misaligned unless the image is square."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.saliency.geometry import Geometry, stretched_in_blocks
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.types import RGBImage, SaliencyMap

_LONGEST = 64
"""Aspect ratio beyond which the ends of a strip are cut off first; they are far from the middle square."""


@dataclass(frozen=True)
class CentreCrop:
    """The middle square of an image goes in; its map is stretched over the whole image, as the published code does.

    In an image that is not square the margins are never seen, and the map is pulled away from what it shows: a place
    at the fraction f of the longer side, with aspect ratio a, is drawn at 1/2 + a (f - 1/2).

    Args:
        clip_preprocess: of the CLIP model; its size, mean and standard deviation are kept.
    """

    clip_preprocess: Preprocess

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, h, w) of an (H, W, 3) image: shorter side to the network's size (bicubic), middle cut out.

        The steps are those of transformers' `CLIPImageProcessorPil`: on 40 images of 30 to 900 pixels a side every
        value was equal. Torchvision's centre crop rounds odd margins otherwise and can lie one pixel aside.
        """
        height, width = self.clip_preprocess.size
        edge, seen = max(height, width), _without_far_ends(image)
        rows, columns = (int(edge * side / min(seen.shape[:2])) for side in seen.shape[:2])
        top, left = (rows - height) // 2, (columns - width) // 2
        large = Image.fromarray(seen).resize((columns, rows), Image.Resampling.BICUBIC)
        return self.clip_preprocess(np.asarray(large.crop((left, top, left + width, top + height))))

    @property
    def stored(self) -> Mapping[str, Any]:
        """The way back goes by the network's own size."""
        return {"geometry": "centre_crop", "network_size": list(self.clip_preprocess.size)}

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
        """As `stretched_in_blocks`."""
        return stretched_in_blocks(relevance, self.clip_preprocess.size, size)


def _without_far_ends(image: RGBImage) -> RGBImage:
    """The middle of an (H, W, 3) strip, which would else grow to gigabytes: 1 x 200,000 pixels to 224 x 44,800,000."""
    most = _LONGEST * min(image.shape[:2])
    top, left = (max(0, (side - most) // 2) for side in image.shape[:2])
    return image[top : top + most, left : left + most]


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
