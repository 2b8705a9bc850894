"""Transforms of images, prompts and masks between the original frame and a SAM's square input."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn.functional import interpolate, pad

from medsam_exp.types import RGBImage, UserError

PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


class Framing(Protocol):
    """Transform of images, prompts and masks to the *input frame*, the network's S x S pixels, and back.

    Attributes:
        takes_points: whether the network was trained to understand points; boxes are always understood.
        pads: whether an image keeps its aspect ratio and is padded to the square; else it is squashed.
    """

    takes_points: bool
    pads: bool

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 on the CPU, input frame, of an (H, W, 3) uint8 image."""

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Return (..., 2) x, y in pixels of the input frame of (..., 2) x, y of an image of (H, W) pixels."""

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Return logits (N, M, H, W), original frame, of (N, M, 4g, 4g) over the input frame."""


class LongestSide:
    """Meta's framing: the longer side becomes S, zeros fill the square at the right and the bottom.

    Args:
        image_size: S, in pixels.
    """

    takes_points = True
    pads = True

    def __init__(self, image_size: int) -> None:
        self._image_size, self._resize = image_size, ResizeLongestSide(image_size)

    def preprocess(self, image: RGBImage) -> Tensor:
        """Resize the longer side, normalise, pad.

        Args:
            image: (H, W, 3) uint8 RGB, original frame.

        Returns:
            (3, S, S) float32 on the CPU, input frame.

        Raises:
            UserError: the image is so elongated that its short side would vanish.
        """
        if 0 in self._input_size(image.shape[:2]):
            raise UserError(
                f"An image of {image.shape[0]} x {image.shape[1]} pixels is too elongated for SAM at "
                f"{self._image_size} pixels: crop it."
            )
        pixels = torch.as_tensor(self._resize.apply_image(image)).permute(2, 0, 1).contiguous()
        normalised = (pixels - PIXEL_MEAN) / PIXEL_STD
        height, width = pixels.shape[1:]
        return pad(normalised, (0, self._image_size - width, 0, self._image_size - height))

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Scale (..., 2) x, y in pixels of an (H, W) image to the input frame."""
        scaled: NDArray[Any] = self._resize.apply_coords(coords, original_size)
        return scaled

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Upsample logits (N, M, 4g, 4g) to the square, cut the padding off, resize to (N, M, H, W)."""
        height, width = self._input_size(original_size)
        square = interpolate(low_res, (self._image_size,) * 2, mode="bilinear", align_corners=False)
        return interpolate(square[..., :height, :width], original_size, mode="bilinear", align_corners=False)

    def _input_size(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of the image inside the input frame."""
        height, width = self._resize.get_preprocess_shape(*original_size, self._image_size)
        return height, width


class SquashFraming:
    """Base of the framings that squash an image to S x S, whatever its proportions.

    Args:
        image_size: S, in pixels.
    """

    pads = False

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Scale (..., 2) x, y in pixels of an (H, W) image by (S / W, S / H)."""
        height, width = original_size
        return coords.astype(np.float64) * (self._image_size / width, self._image_size / height)
