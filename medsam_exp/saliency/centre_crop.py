"""The published programs' way of an image to the network and back, in which map and image do not lie on each other."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from medsam_exp.clip.preprocess import Preprocess
from medsam_exp.saliency.geometry import finite_grid, stands_out
from medsam_exp.types import RGBImage, SaliencyMap


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
        """Return (3, h, w) of an (H, W, 3) image: shorter side to the network's size (bicubic), middle cut out."""
        height, width = self.clip_preprocess.size
        edge, short = max(height, width), min(image.shape[:2])
        rows, columns = (int(edge * side / short) for side in image.shape[:2])
        top, left = (rows - height) // 2, (columns - width) // 2
        down, right = image.shape[0] / rows, image.shape[1] / columns  # original pixels per resized one
        # The cut comes with the resizing: a strip of 1 x 5000 pixels would else grow to a gigabyte.
        box = (left * right, top * down, (left + width) * right, (top + height) * down)
        cut = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box=box)
        return self.clip_preprocess(np.asarray(cut))

    def to_original_frame(self, relevance: Tensor, size: tuple[int, int]) -> SaliencyMap:
        """Return (H, W) float32, multiples of 1/255, of a relevance (gh, gw).

        Bilinear to the network's size, min-max, the nearest value for each original pixel, 8 bits; all zero where
        the relevance is constant.

        Raises:
            ValueError: the relevance is not finite.
        """
        grid = finite_grid(relevance)
        if not stands_out(grid):
            return np.zeros(size, np.float32)
        height, width = self.clip_preprocess.size
        large = interpolate(grid[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
        low, high = large.aminmax()
        levels = (255 * (large - low) / (high - low)).round().numpy()
        rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
        stretched: SaliencyMap = (levels[np.ix_(rows, columns)] / 255).astype(np.float32)
        return stretched
