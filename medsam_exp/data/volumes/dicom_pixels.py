"""Pixels of a DICOM frame: decompressed, rescaled, and as a screen shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.pixels import Pixels, bands, refuse_large
from medsam_exp.data.volumes.dicom_header import (
    Frame,
    frames_of,
    functional_group,
    patient_of,
    read_all,
    read_header,
)
from medsam_exp.data.volumes.file_errors import naming_its_header
from medsam_exp.data.volumes.windowing import Window, percentile_window, to_bytes
from medsam_exp.runtime.foreign import naming_the_file, reason
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_UNREADABLE, _COPY = "has pixels that cannot be decoded", "copy it again"


def is_gray(header: Dataset) -> bool:
    """Whether a pixel is one number, not a colour."""
    return header.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")


def _is_inverted(header: Dataset) -> bool:
    """Whether the lowest value means white."""
    result: bool = header.get("PhotometricInterpretation") == "MONOCHROME1"
    return result


def read_values(frame: Frame) -> NDArray[np.float32]:
    """(H, W) numbers of a gray frame in the scan's units (HU for CT), after the modality's table or rescaling.

    Pixels that the file declares to be padding get the value that is shown darkest.

    Raises:
        UserError: the pixels cannot be decoded.
    """
    with naming_the_file(frame.path, _UNREADABLE, _COPY):
        stored = _stored(frame)
        if stored.shape != frame.size:
            raise UserError(
                f"{frame.path} says {frame.header.PhotometricInterpretation}, and has pixels of the shape "
                f"{stored.shape}: export it again"
            )
        values = _rescaled(stored, frame)
        padding = _padding(stored, frame.header)
        if padding.any() and not padding.all():
            rest = values[~padding]
            values[padding] = rest.max() if _is_inverted(frame.header) else rest.min()
        return values


def read_colours(frame: Frame) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a colour frame, whatever its colour model.

    Raises:
        UserError: the pixels cannot be decoded.
    """
    from pydicom.pixels.processing import apply_color_lut

    with naming_the_file(frame.path, _UNREADABLE, _COPY):
        pixels = _decoded(frame)
        if frame.header.PhotometricInterpretation == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, frame.header)
            bits = int(frame.header.RedPaletteColorLookupTableDescriptor[2])
        else:
            bits = int(frame.header.BitsStored)
        if pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise UserError(
                f"{frame.path} has colours of {pixels.shape[1:]} channels, 3 are expected: export it again"
            )
        if pixels.dtype != np.uint8 or bits > 8:
            # Palettes of 16 bits keep eight bits of meaning in the high byte, or in the low one: see which is used.
            full = 2**bits - 1 if pixels.max() > 255 else 255
            pixels = np.rint(pixels.astype(np.float64) * 255 / full)
        return np.asarray(pixels, np.uint8)


def render_gray(values: NDArray[np.float32], frame: Frame, window: Window | None) -> NDArray[np.uint8]:
    """(H, W) uint8 as a screen shows a gray frame.

    Args:
        values: from `read_values`.
        frame: where they come from.
        window: to be used in place of what the file asks for.

    Without either, the values are stretched from their lowest to their highest.
    """
    with naming_its_header(frame.path):
        by_table = window is None and frame.window is None and frame.header.get("VOILUTSequence")
        shown_by = window or frame.window or (None if by_table else percentile_window(values, 0, 100))
        shown = np.empty(values.shape, np.uint8)
        for rows in bands(values.shape):
            if shown_by is not None:
                gray = shown_by(values[rows])
            else:
                found, bits = _by_table(values[rows], frame.header.VOILUTSequence[0])
                gray = found / (2**bits - 1)
            shown[rows] = to_bytes(gray, inverted=_is_inverted(frame.header))
        return shown


def has_window(frame: Frame) -> bool:
    """Whether the file brings a window or a VOI LUT."""
    return frame.window is not None or bool(frame.header.get("VOILUTSequence"))


def _decoded(frame: Frame) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    syntax, header = frame.header.file_meta.TransferSyntaxUID, frame.header
    depth = -(-int(header.BitsAllocated) // 8) * int(header.get("SamplesPerPixel") or 1)
    refuse_large(frame.path, frame.size, depth)
    try:
        if syntax.is_deflated:  # which pydicom inflates only when it reads all of the file
            return pixel_array(read_all(frame.path), index=frame.number)
        return pixel_array(frame.path, index=frame.number, transfer_syntax_uid=syntax)
    except RuntimeError as error:
        raise UserError(
            f"{frame.path} is compressed as {syntax.name} and cannot be decoded here ({reason(error)}): "
            "convert it with dcmdjpeg, gdcmconv --raw or your archive's export"
        ) from error


def _stored(frame: Frame) -> NDArray[Any]:
    """(H, W) stored integers; bits above those declared hold overlays or nothing, and are dropped."""
    pixels = _decoded(frame)
    spare = pixels.dtype.itemsize * 8 - int(frame.header.get("BitsStored", pixels.dtype.itemsize * 8))
    if pixels.dtype.kind in "iu" and spare > 0:
        pixels = np.right_shift(np.left_shift(pixels, spare), spare)
    return pixels


def _rescaled(stored: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    from pydicom.pixels.processing import apply_rescale

    own = functional_group(frame.header, frame.number, "PixelValueTransformationSequence")
    if own is None and frame.header.get("ModalityLUTSequence"):
        return _by_table(stored, frame.header.ModalityLUTSequence[0])[0].astype(np.float32)
    rule = own or frame.header
    if rule.get("RescaleSlope") == 0:
        return np.asarray(stored + float(rule.get("RescaleIntercept") or 0), np.float32)
    return np.asarray(apply_rescale(stored, rule), np.float32)


def _padding(stored: NDArray[Any], header: Dataset) -> NDArray[np.bool_]:
    value = header.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = header.get("PixelPaddingRangeLimit", value)
    return np.asarray((stored >= min(value, limit)) & (stored <= max(value, limit)))


def _by_table(values: NDArray[Any], item: Dataset) -> tuple[NDArray[np.float64], int]:
    """Values through a table of the file, whose input is whole numbers; and the bits of what comes out.

    Not pydicom's functions for it, which wrap values far beyond the table around and know some depths only.
    """
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        table = np.frombuffer(data, np.uint8 if len(data) == count else "<u2")
    else:
        table = np.asarray(data)
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, min(count or 2**16, len(table)) - 1)
    return table[places].astype(np.float64), bits


_ORIGINAL = "00"  # of LossyImageCompression


def decode_dicom(path: Path, window: Window | None = None) -> Pixels:
    """Pixels as a screen shows them: (H, W) or (H, W, 3) uint8.

    Args:
        path: the file.
        window: of a gray image, in place of the file's own.

    Raises:
        UserError: the file is no image, too large, several images, or a colour image with a window.
    """
    path, header = _opened(path)
    with naming_its_header(path):
        return _picture(path, header, window)


def values_range(path: Path) -> tuple[float, float, Window] | None:
    """Lowest and highest value of a gray image and the window that it is shown by; None for colours and tables.

    Raises:
        UserError: as `decode_dicom`.
    """
    path, header = _opened(path)
    with naming_its_header(path):
        if not is_gray(header):
            return None
        frame = frames_of(path, header)[0]
        if frame.window is None and header.get("VOILUTSequence"):
            return None
        values = read_values(frame)
        return float(values.min()), float(values.max()), frame.window or percentile_window(values, 0, 100)


def _opened(path: Path) -> tuple[Path, Dataset]:
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): copy it again")
    header = read_header(path) if path.exists() else None
    if header is None:
        raise UserError(f"{path} does not exist: check the path")
    return path, header


def _picture(path: Path, header: Dataset, window: Window | None) -> Pixels:
    if "Rows" not in header or "BitsAllocated" not in header or header.get("Modality") == "SEG":
        raise UserError(
            f"{path} is a DICOM file without an image ({header.get('Modality')}): replace or remove it"
        )
    frames = frames_of(path, header)
    if len(frames) > 1:
        raise UserError(
            f"{path} holds {len(frames)} images, one is expected: cut it by medsam-exp prepare own"
        )
    frame = frames[0]
    if window is not None and not is_gray(header):
        raise UserError(f"{path} is a colour image, which has no window: leave data.window out")
    values = render_gray(read_values(frame), frame, window) if is_gray(header) else read_colours(frame)
    lossy = header.get("LossyImageCompression", _ORIGINAL) != _ORIGINAL
    return Pixels(
        values,
        None,
        lossy,
        spacing_mm=frame.spacing_mm,
        remarks=frame.remarks,
        patient=patient_of(header),
    )
