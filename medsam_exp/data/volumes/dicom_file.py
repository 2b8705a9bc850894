"""One DICOM file: its elements, with the usual preamble or without."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.data.volumes.damage import naming
from medsam_exp.runtime.extras import require
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".dic"})
_FIRST_GROUPS = {0x0002, 0x0008}  # a data set without preamble begins with one of them
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

    with naming(path, "is a damaged DICOM file"):
        try:
            dataset: Dataset = dcmread(path, stop_before_pixels=not pixels)
        except InvalidDicomError:
            bare = _without_preamble(path, pixels=pixels)
            if bare is None and path.suffix.lower() in DICOM_SUFFIXES:
                raise _no_dicom(path) from None
            return bare
        return _with_syntax(dataset)


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
        dataset: Dataset = dcmread(path, stop_before_pixels=not pixels, force=True)
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
