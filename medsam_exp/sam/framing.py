"""Transforms of images, prompts and masks between the original frame and a SAM's square input."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from segment_anything.utils.transforms import ResizeLongestSide
from skimage.transform import resize
from torch import Tensor
from torch.nn.functional import interpolate, pad

from medsam_exp.masks.nearest import nearest
from medsam_exp.sam.area import resized_by_area
from medsam_exp.types import Mask, RGBImage, UserError

PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
_FLAT = 1e-8
"""Smallest range of gray values that MedSAM's min-max scaling divides by (published code)."""
_CERTAIN = 1e-6
"""MedSAM's probabilities come no nearer to 0 and 1 than this, so that their logits stay finite."""


class Framing(ABC):
    """Transform of images, prompts and masks to the *input frame*, the network's S x S pixels, and back.

    Args:
        image_size: S, in pixels.

    Attributes:
        takes_points: whether the network was trained to understand points; boxes are always understood.
    """

    takes_points: ClassVar[bool] = True

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size

    @abstractmethod
    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 on the CPU, input frame, of an (H, W, 3) uint8 image."""

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Return (..., 2) x, y in pixels of the input frame of (..., 2) x, y of an image of (H, W) pixels."""
        height, width = original_size
        return coords.astype(np.float64) * (self._image_size / width, self._image_size / height)

    def mask_to_input(self, mask: Mask) -> Tensor:
        """Return (S, S) float in {0, 1}, input frame, of an (H, W) mask."""
        height, width = self._filled(mask.shape)
        pixels = torch.from_numpy(np.ascontiguousarray(mask))[None, None].float()
        resized = interpolate(pixels, (height, width), mode="bilinear")[0, 0]
        return pad((resized >= 0.5).float(), (0, self._image_size - width, 0, self._image_size - height))

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Return logits (N, M, H, W), original frame, of (N, M, 4g, 4g) over the input frame."""
        square = interpolate(low_res, (self._image_size,) * 2, mode="bilinear", align_corners=False)
        height, width = self._filled(original_size)
        return interpolate(square[..., :height, :width], original_size, mode="bilinear", align_corners=False)

    def mask_prompts(self, logits: Tensor, original_size: tuple[int, int], side: int) -> Tensor:
        """Return (N, 1, side, side) over the input frame of logits (N, h, w) over an image of (H, W) pixels.

        What pads the image is as surely background as its least likely pixel.
        """
        height, width = (
            max(1, round(part * side / self._image_size)) for part in self._filled(original_size)
        )
        placed = interpolate(logits[:, None], (height, width), mode="bilinear", antialias=True)
        frame = logits.amin((1, 2))[:, None, None, None].repeat(1, 1, side, side)
        frame[..., :height, :width] = placed
        return frame

    def _filled(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of the image inside the input frame."""
        return self._image_size, self._image_size


class LongestSide(Framing):
    """Meta's framing: the longer side becomes S, zeros fill the square at the right and the bottom."""

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
        pixels = self._pixels(image)
        height, width = pixels.shape[1:]
        return pad(pixels, (0, self._image_size - width, 0, self._image_size - height))

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Scale (..., 2) x, y in pixels of an (H, W) image to the input frame."""
        scaled: NDArray[Any] = self._resize.apply_coords(coords, original_size)
        return scaled

    def _filled(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        height, width = self._resize.get_preprocess_shape(*original_size, self._image_size)
        return height, width

    def _pixels(self, image: RGBImage) -> Tensor:
        """(3, h, w) float32 of what fills the input frame."""
        pixels = torch.as_tensor(self._resize.apply_image(image)).permute(2, 0, 1).contiguous()
        return (pixels - PIXEL_MEAN) / PIXEL_STD


def _in_unit_range(pixels: RGBImage) -> Tensor:
    """(3, h, w) float32 of (h, w, 3), from 0 at the darkest value to 1 at the brightest; all 0 of a flat one."""
    low, high = int(pixels.min()), int(pixels.max())
    scaled = (pixels - low) / max(high - low, _FLAT)
    return torch.from_numpy(scaled).float().permute(2, 0, 1).contiguous()


class MedSamFraming(Framing):
    """MedSAM's (Ma 2024): the image is squashed to S x S and scaled to [0, 1]; masks are enlarged as probabilities.

    Follows the published `MedSAM_Inference.py`: bicubic splines with anti-aliasing, cut to whole gray values,
    min-max over the whole image; the decoder's probabilities, not its logits, are interpolated to the
    original size, and 0.5 is the border.
    """

    takes_points = False

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 in [0, 1] on the CPU of an (H, W, 3) uint8 image; all 0 of a flat one."""
        side = self._image_size
        squashed = resize(image, (side, side), order=3, preserve_range=True, anti_aliasing=True)
        return _in_unit_range(squashed.astype(np.uint8))  # cut, not rounded, as published

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Interpolate the probabilities of (N, M, 4g, 4g) logits; return them as logits (N, M, H, W)."""
        probabilities = interpolate(low_res.sigmoid(), original_size, mode="bilinear", align_corners=False)
        return probabilities.logit(_CERTAIN)


class LiteMedSamFraming(LongestSide):
    """LiteMedSAM's (Ma 2024): Meta's, but resized by area and scaled to [0, 1]; boxes lie on whole pixels.

    Follows the published `CVPR24_LiteMedSAM_infer.py`: min-max over the image without what pads it.
    """

    takes_points = False

    def to_input(self, coords: NDArray[np.floating[Any]], original_size: tuple[int, int]) -> NDArray[Any]:
        """Scale (..., 2) x, y in pixels of an (H, W) image to whole pixels of the input frame."""
        return np.trunc(coords.astype(np.float64) * (self._image_size / max(original_size)))

    def _pixels(self, image: RGBImage) -> Tensor:
        return _in_unit_range(resized_by_area(image, self._filled(image.shape[:2])))


class SamMed2dFraming(Framing):
    """SAM-Med2D's (Cheng 2023): the image is squashed to S x S by its nearest pixels, and normalised as SAM's.

    Follows the published predictor. (In training, images with both sides below S were centred on a black
    square instead of enlarged.)
    """

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 on the CPU, input frame, of an (H, W, 3) uint8 image."""
        pixels = torch.from_numpy(nearest(image, (self._image_size,) * 2)).permute(2, 0, 1)
        return ((pixels - PIXEL_MEAN) / PIXEL_STD).contiguous()


class Sam2Framing(Framing):
    """SAM 2's (Ravi 2024): the image is squashed to S x S by anti-aliased bilinear interpolation of its real values.

    Follows Meta's image predictor, which brings low-resolution logits straight to the original size. transformers'
    processor differs by rounding the squashed pixels to whole gray values.
    """

    _mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    _std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def preprocess(self, image: RGBImage) -> Tensor:
        """Return (3, S, S) float32 on the CPU, input frame, of an (H, W, 3) uint8 image."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
        return ((self._squashed(pixels) - self._mean) / self._std).contiguous()

    def to_original(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Return logits (N, M, H, W), original frame, of (N, M, 4g, 4g) over the input frame."""
        return interpolate(low_res, original_size, mode="bilinear", align_corners=False)

    def _squashed(self, pixels: Tensor) -> Tensor:
        """(3, S, S) of (3, H, W) in [0, 1]."""
        side = self._image_size
        return interpolate(pixels[None], (side, side), mode="bilinear", antialias=True)[0]


class Sam3Framing(Sam2Framing):
    """SAM 3's (Carion 2025): as SAM 2's, in other units."""

    _mean = torch.tensor(0.5)
    _std = torch.tensor(0.5)


class MedSam2Framing(Sam2Framing):
    """MedSAM2's (Ma 2025): as SAM 2's, but by Pillow's bicubic interpolation, in whole gray values.

    Follows the published `medsam2_infer_3D_CT.py`. Its windowing of CT values is the dataset's business.
    """

    def _squashed(self, pixels: Tensor) -> Tensor:
        """(3, S, S) of (3, H, W) in [0, 1]."""
        gray_values = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        squashed = Image.fromarray(gray_values).resize((self._image_size,) * 2, Image.Resampling.BICUBIC)
        return torch.from_numpy(np.array(squashed)).permute(2, 0, 1).float() / 255
