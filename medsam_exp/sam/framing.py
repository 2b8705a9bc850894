"""Transforms of images, prompts and masks between the original frame and a SAM's square input."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn.functional import interpolate, pad

from medsam_exp.types import RGBImage, UserError

PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


class Framing(ABC):
    """Transform of images, prompts and masks to the *input frame*, the network's S x S pixels, and back.

    Args:
        image_size: S, in pixels.

    Attributes:
        takes_points: whether the network was trained to understand points; boxes are always understood.
        pads: whether an image keeps its aspect ratio and is padded to the square; else it is squashed.
    """

    takes_points: ClassVar[bool] = True
    pads: ClassVar[bool] = False

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size

    @abstractmethod
    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 on the CPU, input frame, of an (H, W, 3) uint8 image."""

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Return (..., 2) x, y in pixels of the input frame of (..., 2) x, y of an image of (H, W) pixels."""
        height, width = original_size
        return coords.astype(np.float64) * (self._image_size / width, self._image_size / height)

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Return logits (N, M, H, W), original frame, of (N, M, 4g, 4g) over the input frame."""
        square = interpolate(low_res, (self._image_size,) * 2, mode="bilinear", align_corners=False)
        height, width = self._filled(original_size)
        return interpolate(square[..., :height, :width], original_size, mode="bilinear", align_corners=False)

    def _filled(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of the image inside the input frame."""
        return self._image_size, self._image_size


class LongestSide(Framing):
    """Meta's framing: the longer side becomes S, zeros fill the square at the right and the bottom."""

    pads = True

    def __init__(self, image_size: int) -> None:
        super().__init__(image_size)
        self._resize = ResizeLongestSide(image_size)

    def preprocess(self, image: RGBImage) -> Tensor:
        """Resize the longer side of an (H, W, 3) uint8 image, normalise, pad to (3, S, S) float32.

        Raises:
            UserError: the image is so elongated that its short side would vanish.
        """
        if 0 in self._filled(image.shape[:2]):
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

    def _filled(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        height, width = self._resize.get_preprocess_shape(*original_size, self._image_size)
        return height, width
