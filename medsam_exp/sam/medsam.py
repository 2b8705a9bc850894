"""MedSAM (Ma 2024): SAM's ViT-B, trained on medical images and boxes alone, with a framing of its own."""

import numpy as np
import torch
from skimage.transform import resize
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.sam.framing import Framing
from medsam_exp.types import RGBImage

FLAT = 1e-8
"""Smallest range of gray values that min-max scaling divides by (published code)."""
CERTAIN = 1e-6
"""Probabilities come no nearer to 0 and 1 than this, so that their logits stay finite."""


class MedSamFraming(Framing):
    """The image is squashed to S x S and scaled to [0, 1]; masks are enlarged as probabilities.

    Follows the published `MedSAM_Inference.py`: bicubic splines with anti-aliasing, cut to whole gray values,
    min-max over the whole image; the decoder's probabilities, not its logits, are interpolated to the
    original size, and 0.5 is the border.
    """

    takes_points = False

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 in [0, 1] on the CPU of an (H, W, 3) uint8 image; all 0 of a flat one."""
        side = self._image_size
        squashed = resize(image, (side, side), order=3, preserve_range=True, anti_aliasing=True)
        pixels = squashed.astype(np.uint8)  # cut, not rounded, as published
        low, high = int(pixels.min()), int(pixels.max())
        scaled = (pixels - low) / max(high - low, FLAT)
        return torch.from_numpy(scaled).float().permute(2, 0, 1).contiguous()

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Interpolate the probabilities of (N, M, 4g, 4g) logits; return them as logits (N, M, H, W)."""
        probabilities = interpolate(low_res.sigmoid(), original_size, mode="bilinear", align_corners=False)
        return probabilities.logit(CERTAIN)
