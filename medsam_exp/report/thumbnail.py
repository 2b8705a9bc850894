"""A small picture of an image with the outline of its mask, for a list."""

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from medsam_exp.stages.pipeline import stage_colour
from medsam_exp.types import Mask, RGBImage

LONGER_SIDE_PX = 192
_COLOUR = to_rgb(stage_colour("weak"))


def thumbnail(image: RGBImage, mask: Mask, path: Path) -> None:
    """Write the whole image, its mask outlined in the ensemble's colour on black.

    Args:
        image: (H, W, 3), original frame.
        mask: (H, W) bool.
        path: of the PNG.
    """
    height, width = mask.shape
    scale = LONGER_SIDE_PX / max(height, width)
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small = np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    found = np.array(Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BILINEAR)) >= 128
    if mask.any() and not found.any():  # a few pixels must not vanish
        rows, columns = np.nonzero(mask)
        found[int(rows.mean() * size[1] / height), int(columns.mean() * size[0] / width)] = True
    line = found & ~binary_erosion(found, iterations=2)
    small[binary_dilation(found) & ~found] = 0
    small[line] = np.round(255 * np.array(_COLOUR)).astype(np.uint8)
    Image.fromarray(small).save(path)
