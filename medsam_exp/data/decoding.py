"""Any image file to (H, W, 3) uint8 RGB.

More than 8 bits (16-bit, 32-bit, float) are stretched per image: its lowest value becomes 0, its highest 255.
Transparency is composited over black; an alpha channel that is the same everywhere is dropped.
The orientation tag of photographs is applied, so (H, W) is the frame that viewers show.
A DICOM image is shown as its file asks, and stretched likewise where it asks for nothing (`medsam_exp.data.volumes`).
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from medsam_exp.data.pixels import MAX_PIXELS, Pixels
from medsam_exp.types import RGBImage, UserError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
DICOM_SUFFIX = ".dcm"
IMAGE_SUFFIXES = PICTURE_SUFFIXES | {DICOM_SUFFIX}
_GRAY_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
"""Between the grays that are shown of images of 1, 2 and 4 bits."""
MOST_ELONGATED = 512
"""Longer over shorter side that a scan may have; of more, SAM's smallest input would keep no row."""
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")


def read_image(path: Path) -> RGBImage:
    """Read a scan as a viewer shows it.

    Returns:
        (H, W, 3) uint8 RGB; see the module's text for 16-bit values, transparency and orientation.

    Raises:
        UserError: the file is missing, empty, truncated, too large, no image, or a stack of images.
    """
    return to_rgb(decode(path), path)


def declared_size(path: Path) -> tuple[int, int]:
    """(H, W) that a file's header declares, before orientation; no pixel is decoded.

    Raises:
        UserError: as `read_image`, as far as the header tells.
    """
    if path.suffix.lower() == DICOM_SUFFIX:
        from medsam_exp.data.volumes.dicom_header import frames_of, read_all  # pydicom is hardly ever needed

        return frames_of(path, read_all(path))[0].size
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as error:  # as in `decode`
        raise _unreadable(path, error) from error


def to_rgb(pixels: Pixels, path: Path) -> RGBImage:
    """Convert decoded pixels to 8-bit RGB.

    Args:
        pixels: of one file.
        path: the file, for the error.

    Returns:
        (H, W, 3) uint8 RGB; deeper values are stretched from their lowest to their highest.

    Raises:
        UserError: the pixels hold no finite number.
    """
    values = pixels.values if pixels.values.dtype == np.uint8 else _stretched(pixels.values, path)
    if values.ndim == 2:
        values = np.stack((values, values, values), axis=-1)
    if pixels.alpha is not None:
        values = np.rint(values * pixels.alpha[..., None])
    return np.require(values, np.uint8, ("C", "W"))  # Pillow's pixels are read-only


def refuse_elongated(size: tuple[int, ...], path: Path) -> None:
    """Refuse an image that is too elongated for any network.

    Args:
        size: (H, W) pixels.
        path: the file, for the error.

    Raises:
        UserError: the longer side exceeds `MOST_ELONGATED` times the shorter.
    """
    if max(size) > MOST_ELONGATED * min(size):
        raise UserError(
            f"{path} has {size[1]} x {size[0]} pixels, longer than {MOST_ELONGATED} to 1: crop it, or remove it"
        )


def decode(path: Path, content: bytes | None = None) -> Pixels:
    """Decode every pixel of a file, so that truncated files are found.

    Args:
        path: the file.
        content: its bytes, where they were read already; not of a DICOM file.

    Raises:
        UserError: as `read_image`.
    """
    if path.suffix.lower() == DICOM_SUFFIX:
        from medsam_exp.data.volumes.dicom_pixels import decode_dicom  # pydicom is hardly ever needed

        return decode_dicom(path)
    try:
        data = path.read_bytes() if content is None else content  # Pillow misreads turned TIFFs by their path
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            _refuse_odd(image, path)
            pixels = _pixels(image, data)
        if image.format == "PNG":
            with Image.open(BytesIO(data), formats=("PNG",)) as again:
                again.verify()  # checksums, the last of which Pillow does not reach when it decodes
        return pixels
    except UserError:
        raise
    except Exception as error:  # decoders of damaged files raise anything from OSError to IndexError
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    if not path.exists():
        return UserError(f"{path} does not exist: check the path")
    if path.is_file() and path.stat().st_size == 0:
        return UserError(f"{path} is empty (0 bytes): copy it again")
    if isinstance(error, UnidentifiedImageError):
        return UserError(
            f"{path} cannot be read as an image: it is none of {', '.join(_FORMATS)}, whatever its name says; replace "
            "or remove it"
        )
    reason = " ".join(str(error).replace(str(path), "the file").split())
    return UserError(f"{path} cannot be read as an image ({reason}): replace or remove it")


def _refuse_odd(image: ImageFile.ImageFile, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UserError(f"{path} has {width} x {height} pixels, more than {MAX_PIXELS}: shrink it")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a camera's MPO is one photograph with a preview
        raise UserError(f"{path} holds {frames} images, one is expected: save the wanted slice by itself")
    if image.format == "TIFF" and _is_deep_colour(image):
        raise UserError(f"{path} is a colour TIFF of 16 bits, which is not supported: save it as 16-bit PNG")


def _pixels(image: ImageFile.ImageFile, content: bytes) -> Pixels:
    lossy = image.format in {"JPEG", "MPO", "WEBP"} or image.info.get("compression") == "jpeg"
    # Photometric interpretation 0 (white is zero), which Pillow honours for 8 bits only.
    inverted = image.mode.startswith("I;16") and image.format == "TIFF" and image.getexif().get(262) == 0
    deep_colour = _is_deep_colour(image)
    step = _GRAY_STEPS.get(_raw_mode(image), 0)
    orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))  # loading a TIFF removes the tag
    if deep_colour:
        return _deep_colour(content, orientation)
    image.load()
    upright = (
        image if orientation == 1 else ImageOps.exif_transpose(image)
    )  # each step of Pillow's copies all pixels
    alpha = None
    if upright.mode[0] in "IF":
        values = np.asarray(upright)
        values = np.iinfo(values.dtype).max - values if inverted else values
    elif upright.has_transparency_data:
        rgba = np.asarray(upright.convert("RGBA"))
        values, alpha = rgba[..., :3], _telling_alpha(rgba[..., 3])
    else:
        mode = "L" if upright.mode in {"1", "L"} else "RGB"
        values = np.asarray(upright if upright.mode == mode else upright.convert(mode))
    numbers = np.asarray(upright) if upright.mode == "P" else values // step if step else None
    return Pixels(values, alpha, lossy, orientation, numbers=numbers)


def _is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would silently keep only the high byte of 16-bit colour (or gray with alpha)."""
    return image.format in {"PNG", "TIFF"} and image.mode[0] not in "IF" and ";16" in _raw_mode(image)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the file stores its pixels, before it is loaded."""
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0]) if isinstance(arguments, tuple) else str(arguments)


def _deep_colour(content: bytes, orientation: int) -> Pixels:
    import torch  # both are slow to import, and hardly ever needed
    from torchvision.io import ImageReadMode, decode_image

    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    decoded = decode_image(data, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=True)
    channels = np.moveaxis(decoded.numpy(), 0, -1)
    colours = channels[..., :3] if channels.shape[-1] >= 3 else channels[..., 0]
    alpha = _telling_alpha(channels[..., -1]) if channels.shape[-1] in {2, 4} else None
    return Pixels(colours, alpha, lossy=False, orientation=orientation)


def _telling_alpha(alpha: NDArray[Any]) -> NDArray[np.float32] | None:
    if alpha.min() == alpha.max():
        return None
    return alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)


def _stretched(values: NDArray[Any], path: Path) -> NDArray[np.float64]:
    """Lowest finite value to 0, highest to 255, rounded; not-a-number and constant images become 0."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        raise UserError(f"{path} holds no finite number: export it again")
    low, high = numbers[finite].min(), numbers[finite].max()
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint(np.where(finite, numbers - low, 0.0) * scale)
