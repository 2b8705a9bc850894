"""Headers of DICOM files, and each frame's position, orientation, pixel spacing and window."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.file_errors import naming_its_header
from medsam_exp.data.volumes.windowing import Window, usable_window
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.foreign import naming_the_file, reason
from medsam_exp.runtime.limits import MIB, limits, refuse_beyond
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".dic"})
_FIRST_GROUPS = {0x0002, 0x0008}  # a data set without preamble begins with one of them
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # transfer syntax whose elements pydicom inflates in one go
_META = 1024  # bytes in which it is named
_SOP_CLASSES = "1.2.840.10008."


def read_header(path: Path) -> Dataset | None:
    """The elements of a DICOM file without its pixels; None of a file that is no DICOM.

    Raises:
        UserError: the file is named as DICOM and is not, or is damaged; or pydicom is not installed.
    """
    return _read(path, pixels=False)


def read_all(path: Path) -> Dataset:
    """All elements of a file that is known to be DICOM.

    Raises:
        UserError: the file is damaged.
    """
    found = _read(path, pixels=True)
    if found is None:
        raise _no_dicom(path)
    return found


def _read(path: Path, *, pixels: bool) -> Dataset | None:
    require("pydicom")
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    with naming_the_file(path, "is a damaged DICOM file"):
        try:
            with _bounded(path) as file:
                dataset: Dataset = dcmread(file, stop_before_pixels=not pixels)
        except InvalidDicomError:
            bare = _without_preamble(path, pixels=pixels)
            if bare is None and path.suffix.lower() in _DICOM_SUFFIXES:
                raise _no_dicom(path) from None
            return bare
        return _with_syntax(dataset)


class _Bounded(io.BufferedReader):
    """A file of which no more is asked than there is, whatever length an element says: memory is taken before it."""

    _SMALL = 1 << 20

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._SMALL:
            size = min(size, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(size)


def _bounded(path: Path) -> _Bounded:
    """Open a DICOM file; one whose elements are deflated must not grow beyond a volume's limit.

    Raises:
        UserError: it would.
    """
    with path.open("rb") as file:
        deflated = _DEFLATED in file.read(_META)
    if deflated:
        _refuse_deflated_bomb(path)
    return _Bounded(io.FileIO(path))


def _refuse_deflated_bomb(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(_META)
        group = start.find(
            b"\x02\x00\x00\x00UL\x04\x00"
        )  # the length of the meta information, which is not packed
        length = struct.unpack("<I", start[group + 8 : group + 12])[0] if group >= 0 else 0
        file.seek(group + 12 + length)
        unpacking, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
        with suppress(zlib.error):  # which pydicom tells
            while not unpacking.eof and (packed := unpacking.unconsumed_tail or file.read(1 << 20)):
                unpacked += len(unpacking.decompress(packed, 1 << 24))
                refuse_beyond(path, unpacked, "volume_mib", MIB, "save it without deflate")


def _no_dicom(path: Path) -> UserError:
    return UserError(f"{path} is no DICOM file (its mark is missing): replace or remove it")


def _without_preamble(path: Path, *, pixels: bool) -> Dataset | None:
    """A bare data set, as old archives write it; None of other files, which must not be taken for one."""
    from pydicom import dcmread

    with path.open("rb") as file:
        start = file.read(2)
    if len(start) < 2 or not {*struct.unpack("<H", start), *struct.unpack(">H", start)} & _FIRST_GROUPS:
        return None
    try:
        with _bounded(path) as file:
            dataset: Dataset = dcmread(file, stop_before_pixels=not pixels, force=True)
        known = str(dataset.get("SOPClassUID") or "").startswith(_SOP_CLASSES)
    except Exception:  # whatever the bytes are, they are no data set
        return None
    return _with_syntax(dataset) if known else None


def _with_syntax(dataset: Dataset) -> Dataset:
    """Where no meta information says how elements and pixels are coded: as pydicom found the elements to be."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(dataset, "file_meta", None)
    dataset.file_meta = FileMetaDataset() if meta is None else meta
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRBigEndian if little is False else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


_USED_LATER = (
    *("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("PatientID", "PatientName", "IssuerOfPatientID", "BurnedInAnnotation", "ImageType"),
    *("SpacingBetweenSlices", "SliceThickness", "PhotometricInterpretation"),
)
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
        window: the window that the file asks for; None where it names none that works (or brings a table instead).
        remarks: what is odd and how it is read instead, to follow "the images ..." in a note.
    """

    path: Path
    header: Dataset
    number: int
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    spacing_mm: tuple[float, float] | None
    window: Window | None
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.header.Rows), int(self.header.Columns)


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """Every frame of an image.

    Args:
        path: the file.
        header: its elements without the pixels.

    Raises:
        UserError: a number in the header makes no sense.
    """
    with naming_its_header(path):
        for name in _USED_LATER:  # by now, as a fault is met here with the file's name
            header.get(name)
        return [_frame(path, header, number) for number in range(_count(path, header))]


def _count(path: Path, header: Dataset) -> int:
    """Number of frames, which the file must have bytes for."""
    from pydicom.uid import UID

    rows, columns, count = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
    if min(rows, columns, count) < 1:
        raise ValueError(f"it says {count} images of {rows} rows and {columns} columns")
    bits = rows * columns * int(header.get("BitsAllocated") or 1) * int(header.get("SamplesPerPixel") or 1)
    syntax = UID(header.file_meta.TransferSyntaxUID)
    plain = syntax.is_transfer_syntax and not (syntax.is_compressed or syntax.is_deflated)
    # Half of it, since colours may be stored at half the columns.
    smallest = count * bits // 16 if plain else count
    if path.stat().st_size < smallest:
        raise UserError(
            f"{path} says {count} images of {rows} rows and {columns} columns, more than its bytes can hold: copy it "
            "again"
        )
    if count > limits().frames:
        raise UserError(
            f"{path} says {count} images, more than limits.frames={limits().frames}: divide it, or raise the limit"
        )
    return count


def _frame(path: Path, header: Dataset, number: int) -> Frame:
    place = functional_group(header, number, "PlanePositionSequence") or header
    turn = functional_group(header, number, "PlaneOrientationSequence") or header
    position = _numbers(place.get("ImagePositionPatient"), 3)
    orientation = _numbers(turn.get("ImageOrientationPatient"), 6)
    if position is None or orientation is None:
        position = orientation = None
    else:
        _check_orientation(orientation, path)
    window, odd_window = _window(header, number)
    remarks = [odd_window, _odd_slope(header, number)]
    return Frame(
        path,
        header,
        number,
        position,
        orientation,
        _spacing(header, number),
        window,
        tuple(remark for remark in remarks if remark),
    )


def patient_of(header: Dataset) -> str:
    """What files of one patient share: its id, else its name, else the study; "" where the header has none of them."""
    for name in ("PatientID", "PatientName", "StudyInstanceUID"):
        if text := str(header.get(name) or "").strip():
            return f"{name} {header.get('IssuerOfPatientID') or ''} {text}"
    return ""


def functional_group(header: Dataset, number: int, name: str) -> Dataset | None:
    """Look up a functional group of an enhanced multi-frame image.

    Args:
        header: of the file.
        number: of the frame, from 0.
        name: of the group's sequence.

    Returns:
        The per-frame group, else the shared one; None without either.
    """
    from pydicom import Dataset

    groups: Sequence[Dataset] = header.get("PerFrameFunctionalGroupsSequence") or ()
    per_frame = groups[number] if number < len(groups) else Dataset()
    shared: Sequence[Dataset] = header.get("SharedFunctionalGroupsSequence") or ()
    for group in (per_frame, *shared):
        if found := group.get(name):
            result: Dataset | None = found[0]
            return result
    return None


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    if values is None or len(values) != count:
        return None
    numbers = np.array([float(value) for value in values])
    if not np.isfinite(numbers).all():
        raise ValueError(f"it holds {numbers[~np.isfinite(numbers)][0]} where a number is expected")
    return numbers


def _check_orientation(orientation: NDArray[np.float64], path: Path) -> None:
    rows, columns = orientation[:3], orientation[3:]
    products = [rows @ rows - 1, columns @ columns - 1, rows @ columns]
    if np.abs(products).max() > 1e-2:
        raise UserError(
            f"{path} has an ImageOrientationPatient that is no pair of perpendicular directions: export it again"
        )


def _spacing(header: Dataset, number: int) -> tuple[float, float] | None:
    """PixelSpacing; else that at the detector, freed from magnification; else an ultrasound region's."""
    measures = functional_group(header, number, "PixelMeasuresSequence") or header
    if found := _pair(measures.get("PixelSpacing")):
        return found
    if found := _pair(header.get("ImagerPixelSpacing")):
        magnification = float(header.get("EstimatedRadiographicMagnificationFactor") or 1)
        return found[0] / magnification, found[1] / magnification
    return _pair(header.get("NominalScannedPixelSpacing")) or _ultrasound_spacing(header)


def _pair(values: Any) -> tuple[float, float] | None:
    if values is None or len(values) != 2:
        return None
    row, column = map(float, values)
    return (row, column) if 0 < row < np.inf and 0 < column < np.inf else None


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


def _window(header: Dataset, number: int) -> tuple[Window | None, str | None]:
    """The first window that works; and what is odd about those that the file asks for."""
    asked = functional_group(header, number, "FrameVOILUTSequence") or header
    try:
        centers, widths = _all(asked.get("WindowCenter")), _all(asked.get("WindowWidth"))
        function = str(asked.get("VOILUTFunction") or "LINEAR")
    except Exception as error:  # broken elements raise anything
        return None, f"ask for a window that cannot be read ({reason(error)}), which is not followed"
    return usable_window(centers, widths, function)


def _all(values: Any) -> list[float]:
    """An element's numbers; it may hold none, one or several."""
    if values is None or values == "":
        return []
    several = isinstance(values, Sequence) and not isinstance(values, str)
    return [float(value) for value in (values if several else [values])]


def _odd_slope(header: Dataset, number: int) -> str | None:
    rule = functional_group(header, number, "PixelValueTransformationSequence") or header
    slope, intercept = (float(rule.get(name) or 0) for name in ("RescaleSlope", "RescaleIntercept"))
    if not np.isfinite([slope, intercept]).all():
        raise ValueError(f"RescaleSlope is {slope:g}, RescaleIntercept {intercept:g}")
    return "have a RescaleSlope of 0, taken as 1" if rule.get("RescaleSlope") == 0 else None
