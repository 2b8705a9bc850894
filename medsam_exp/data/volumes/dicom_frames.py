"""What the header of a DICOM image says about each of its frames: place, size of a pixel, window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from medsam_exp.data.volumes.windows import Window
from medsam_exp.types import UserError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".dic"})
_CENTIMETRES = 3  # code of PhysicalUnitsXDirection
_TISSUE = 1  # code of RegionDataType
_TWO_DIMENSIONAL = 1  # code of RegionSpatialFormat


@dataclass(frozen=True)
class Frame:
    """One picture in a DICOM file.

    Attributes:
        path: the file.
        header: its elements without the pixels.
        number: place of the frame in the file, from 0.
        position: (3,) mm LPS of the centre of the first pixel; None where it has no place in the patient.
        orientation: (6,) direction of rows, then of columns, LPS; None likewise.
        spacing_mm: (row, column) size of a pixel; None when unknown.
        window: the window that the file asks for; None where it names none (or brings a table instead).
    """

    path: Path
    header: Dataset
    number: int
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    spacing_mm: tuple[float, float] | None
    window: Window | None


def read_header(path: Path) -> Dataset | None:
    """The elements of a DICOM file without its pixels; None of a file that is no DICOM.

    Raises:
        UserError: the file is named as DICOM and is not, or is damaged.
    """
    try:
        return dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        if path.suffix.lower() in DICOM_SUFFIXES:
            raise UserError(f"{path} is no DICOM file (its mark is missing): replace or remove it") from error
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): check the file") from error
    except Exception as error:  # damaged elements raise anything
        raise UserError(f"{path} is a damaged DICOM file ({error}): copy it again") from error


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """Every frame of an image.

    Raises:
        UserError: a number in the header makes no sense.
    """
    count = int(header.get("NumberOfFrames") or 1)
    try:
        return [_frame(path, header, number) for number in range(count)]
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{path} has a damaged header ({error}): export it again") from error


def _frame(path: Path, header: Dataset, number: int) -> Frame:
    place = macro(header, number, "PlanePositionSequence") or header
    turn = macro(header, number, "PlaneOrientationSequence") or header
    position = _numbers(place.get("ImagePositionPatient"), 3)
    orientation = _numbers(turn.get("ImageOrientationPatient"), 6)
    if position is None or orientation is None:
        position = orientation = None
    else:
        _check_orientation(orientation, path)
    return Frame(
        path, header, number, position, orientation, _spacing(header, number), _window(header, number, path)
    )


def patient_of(header: Dataset) -> str:
    """What files of one patient share: its id, else its name, else the study; "" where the header has none of them."""
    for name in ("PatientID", "PatientName", "StudyInstanceUID"):
        if text := str(header.get(name) or "").strip():
            return f"{name} {header.get('IssuerOfPatientID') or ''} {text}"
    return ""


def macro(header: Dataset, number: int, name: str) -> Dataset | None:
    """What an enhanced multi-frame image says about one of its frames under a name, or about all of them."""
    groups: Sequence[Dataset] = header.get("PerFrameFunctionalGroupsSequence") or ()
    per_frame = groups[number] if number < len(groups) else Dataset()
    shared: Sequence[Dataset] = header.get("SharedFunctionalGroupsSequence") or ()
    for group in (per_frame, *shared):
        if found := group.get(name):
            return found[0]
    return None


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    if values is None or len(values) != count:
        return None
    return np.array([float(value) for value in values])


def _check_orientation(orientation: NDArray[np.float64], path: Path) -> None:
    rows, columns = orientation[:3], orientation[3:]
    products = [rows @ rows - 1, columns @ columns - 1, rows @ columns]
    if np.abs(products).max() > 1e-2:
        raise UserError(
            f"{path} has an ImageOrientationPatient that is no pair of perpendicular directions: export it again"
        )


def _spacing(header: Dataset, number: int) -> tuple[float, float] | None:
    """PixelSpacing; else that at the detector, freed from magnification; else an ultrasound region's."""
    measures = macro(header, number, "PixelMeasuresSequence") or header
    if found := _pair(measures.get("PixelSpacing")):
        return found
    if found := _pair(header.get("ImagerPixelSpacing")):
        magnification = float(header.get("EstimatedRadiographicMagnificationFactor") or 1)
        return found[0] / magnification, found[1] / magnification
    return _pair(header.get("NominalScannedPixelSpacing")) or _ultrasound_spacing(header)


def _pair(values: Any) -> tuple[float, float] | None:
    found = _numbers(values, 2)
    return (float(found[0]), float(found[1])) if found is not None and (found > 0).all() else None


def _ultrasound_spacing(header: Dataset) -> tuple[float, float] | None:
    """Of the regions that show tissue; None where these differ, since an image has one scale."""
    regions = [
        region
        for region in header.get("SequenceOfUltrasoundRegions") or ()
        if region.get("RegionSpatialFormat", _TWO_DIMENSIONAL) == _TWO_DIMENSIONAL
        and region.get("RegionDataType", _TISSUE) == _TISSUE
        and region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == _CENTIMETRES
    ]
    scales = {
        (10 * abs(float(region.PhysicalDeltaY)), 10 * abs(float(region.PhysicalDeltaX))) for region in regions
    }
    return scales.pop() if len(scales) == 1 and all(next(iter(scales))) else None


def _window(header: Dataset, number: int, path: Path) -> Window | None:
    asked = macro(header, number, "FrameVOILUTSequence") or header
    center, width = _first(asked.get("WindowCenter")), _first(asked.get("WindowWidth"))
    if center is None or width is None:
        return None
    try:
        return Window(center, width, asked.get("VOILUTFunction") or "LINEAR")
    except UserError as error:
        raise UserError(f"{path}: {error}, or choose a window yourself") from error


def _first(values: Any) -> float | None:
    """The first of a file's windows; it may name several."""
    if values is None or values == "":
        return None
    first = values[0] if isinstance(values, Sequence) and not isinstance(values, str) else values
    return float(first)
