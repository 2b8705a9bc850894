"""A single DICOM image as a picture, for folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.data.pixels import MAX_PIXELS, Pixels
from medsam_exp.data.volumes.damage import naming
from medsam_exp.data.volumes.dicom_file import read_header
from medsam_exp.data.volumes.dicom_frames import frames_of, patient_of
from medsam_exp.data.volumes.dicom_pixels import is_gray, read_colours, read_values, shown
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_ORIGINAL = "00"  # of LossyImageCompression


def decode_dicom(path: Path) -> Pixels:
    """Pixels as a screen shows them: (H, W) or (H, W, 3) uint8, by the file's own window.

    Raises:
        UserError: the file is no image, too large, or several images.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): copy it again")
    header = read_header(path) if path.exists() else None
    if header is None:
        raise UserError(f"{path} does not exist: check the path")
    with naming(path, "has a damaged header", "export it again"):
        return _picture(path, header)


def _picture(path: Path, header: Dataset) -> Pixels:
    if "Rows" not in header or "BitsAllocated" not in header or header.get("Modality") == "SEG":
        raise UserError(
            f"{path} is a DICOM file without an image ({header.get('Modality')}): replace or remove it"
        )
    frames = frames_of(path, header)
    if len(frames) > 1:
        raise UserError(
            f"{path} holds {len(frames)} images, one is expected: cut it by medsam-exp prepare own"
        )
    if header.Rows * header.Columns > MAX_PIXELS:
        raise UserError(
            f"{path} has {header.Columns} x {header.Rows} pixels, more than {MAX_PIXELS}: shrink it"
        )
    frame = frames[0]
    values = shown(read_values(frame), frame, None) if is_gray(header) else read_colours(frame)
    lossy = header.get("LossyImageCompression", _ORIGINAL) != _ORIGINAL
    return Pixels(
        values,
        None,
        lossy,
        spacing_mm=frame.spacing_mm,
        remarks=frame.remarks,
        patient=patient_of(header),
    )
