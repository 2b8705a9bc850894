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

from medsam_exp.data.pixels import Pixels, bands, refuse_large
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
    values, alpha = pixels.values, pixels.alpha
    if values.dtype == np.uint8 and values.ndim == 3 and alpha is None:
        return np.require(values, np.uint8, ("C", "W"))  # Pillow's pixels are read-only
    low, scale = (0.0, 1.0) if values.dtype == np.uint8 else _range(values, path)
    result = np.empty((*values.shape[:2], 3), np.uint8)
    for rows in bands(values.shape):
        shown = values[rows] if values.dtype == np.uint8 else _stretched(values[rows], low, scale)
        shown = shown if shown.ndim == 3 else shown[..., None]
        result[rows] = shown if alpha is None else np.rint(shown * alpha[rows][..., None])
    return result


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
    refuse_large(path, (height, width), _bytes_of_pixel(image))
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a camera's MPO is one photograph with a preview
        raise UserError(f"{path} holds {frames} images, one is expected: save the wanted slice by itself")
    if image.format == "TIFF" and _is_deep_colour(image):
        raise UserError(f"{path} is a colour TIFF of 16 bits, which is not supported: save it as 16-bit PNG")


def _bytes_of_pixel(image: ImageFile.ImageFile) -> int:
    depth = 2 if _is_deep_colour(image) or image.mode.startswith("I;16") else 4 if image.mode in "IF" else 1
    return depth * len(image.getbands())


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
        values = _array(upright)
        values = np.iinfo(values.dtype).max - values if inverted else values
    elif upright.has_transparency_data:
        rgba = _array(upright, "RGBA")
        values, alpha = rgba[..., :3], _telling_alpha(rgba[..., 3])
    else:
        mode = "L" if upright.mode in {"1", "L"} else "RGB"
        values = _array(upright, mode)
    numbers = _array(upright) if upright.mode == "P" else values // step if step else None
    return Pixels(values, alpha, lossy, orientation, numbers=numbers)


def _array(image: Image.Image, mode: str | None = None) -> NDArray[Any]:
    """(H, W) or (H, W, channels) of an image, in a mode: band by band, as Pillow copies all pixels several times."""
    width, height = image.size
    found = None
    for rows in bands((height, width, len(image.getbands()))):
        band = image.crop((0, rows.start, width, rows.stop))
        band = band if mode in (None, image.mode) else band.convert(mode)
        part = np.asarray(band)
        if found is None and rows.stop == height:
            return part
        if found is None:
            found = np.empty((height, *part.shape[1:]), part.dtype)
        found[rows] = part
    assert found is not None  # no format has images without rows
    return found


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


def _range(values: NDArray[Any], path: Path) -> tuple[float, float]:
    """Lowest finite value, and what takes it to 0 and the highest to 255; 0 where they are equal."""
    lows, highs = [], []
    for rows in bands(values.shape):
        numbers = values[rows]
        finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    if not lows:
        raise UserError(f"{path} holds no finite number: export it again")
    low, high = min(lows), max(highs)
    return low, 255.0 / (high - low) if high > low else 0.0


def _stretched(values: NDArray[Any], low: float, scale: float) -> NDArray[np.float64]:
    """Values from `low` on, scaled and rounded; what is not finite becomes 0."""
    numbers = values.astype(np.float64)
    return np.rint(np.where(np.isfinite(numbers), numbers - low, 0.0) * scale)
