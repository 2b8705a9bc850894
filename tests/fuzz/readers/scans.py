"""DICOM, NIfTI, MetaImage and NRRD: single images, series, enhanced images, masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK

from medsam_exp.data.decoding import read_image
from medsam_exp.data.volumes.file_volume import label_names, read_labels
from medsam_exp.data.volumes.find import find_scans
from medsam_exp.data.volumes.segmentation_in import read_segmentation, refers_to
from medsam_exp.data.volumes.windowing import WindowLevel
from tests.data.volumes.synthetic import dicom_image, dicom_series, items
from tests.fuzz.reader import Reader, written

_PIXELS = np.arange(8 * 6, dtype=np.int16).reshape(6, 8) * 20
_VOLUME = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)


def _single(folder: Path) -> None:
    window = {"WindowCenter": 400, "WindowWidth": 800, "RescaleSlope": 1, "RescaleIntercept": -1024}
    dicom_image(folder / "a.dcm", _PIXELS, PixelSpacing=[0.5, 0.5], PixelPaddingValue=-2000, **window)


def _colour(folder: Path) -> None:
    dicom_image(folder / "a.dcm", np.dstack([_PIXELS.astype(np.uint8)] * 3), "US")


def _palette(folder: Path) -> None:
    table = np.arange(256, dtype="<u2") * 257
    names = ("Red", "Green", "Blue")
    entries: dict[str, Any] = {f"{n}PaletteColorLookupTableDescriptor": [256, 0, 16] for n in names}
    entries |= {f"{n}PaletteColorLookupTableData": table.tobytes() for n in names}
    dicom_image(
        folder / "a.dcm", _PIXELS.astype(np.uint8), "US", PhotometricInterpretation="PALETTE COLOR", **entries
    )


def _tables(folder: Path) -> None:
    lut = items({"LUTDescriptor": [1024, 0, 8], "LUTData": (np.arange(1024) // 4).astype("<u2").tobytes()})
    lut[0]["LUTData"].VR = "OW"
    dicom_image(folder / "a.dcm", _PIXELS.astype(np.uint16), VOILUTSequence=lut)


def _packed(folder: Path) -> None:
    from pydicom import dcmread
    from pydicom.uid import RLELossless

    _single(folder)
    dataset = dcmread(folder / "a.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(folder / "a.dcm")


def _series(folder: Path) -> None:
    dicom_series(folder, _VOLUME, np.eye(3), (0.5, 0.5, 2.0), (0, 0, 0))


def _enhanced(folder: Path) -> None:
    frames = [
        {
            "PlanePositionSequence": items({"ImagePositionPatient": [0, 0, float(n)]}),
            "FrameContentSequence": items({"TemporalPositionIndex": 1, "DimensionIndexValues": [1, n + 1]}),
        }
        for n in range(3)
    ]
    shared = {
        "PlaneOrientationSequence": items({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}),
        "PixelMeasuresSequence": items({"PixelSpacing": [0.5, 0.5], "SliceThickness": 1.0}),
    }
    dicom_image(
        folder / "a.dcm",
        np.stack([_PIXELS] * 3),
        NumberOfFrames=3,
        PerFrameFunctionalGroupsSequence=items(*frames),
        SharedFunctionalGroupsSequence=items(shared),
    )


def _itk(name: str, packed: bool = False) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(_VOLUME.T), str(folder / name), packed)

    return write


def _nifti(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        nibabel.save(nibabel.Nifti1Image(_VOLUME, np.diag([0.5, 0.5, 2, 1])), folder / name)

    return write


def _contours(folder: Path) -> None:
    from tests.data.volumes.test_contours import ORIGIN, ROTATION, circle, rtstruct

    dicom_series(folder / "scan", np.zeros((6, 5, 3), np.int16), ROTATION, (0.8, 0.6, 2.5), ORIGIN)
    rtstruct(folder / "contours.dcm", {1: ("mass", [circle(3, 2, 1.0, 1)])})


def _found(folder: Path) -> None:
    """As `medsam_exp.cli.segment` and `prepare own` do: look at everything, then read it."""
    found = find_scans(folder)
    for scan in found.scans:
        scan.render(WindowLevel())
    for path in found.mask_files:
        read_labels(path)
        label_names(path)
    for path, header in found.segmentations:
        for scan in found.scans:
            if refers_to(header, scan.facts):
                read_segmentation(path, scan.facts)
    for fault in found.faults:
        if not fault.isprintable():
            raise ValueError(f"a sentence with odd signs: {fault!r}")


def _labels(folder: Path) -> None:
    for path in folder.iterdir():
        read_labels(path)
        label_names(path)


def _alone(folder: Path) -> None:
    read_image(folder / "a.dcm")


READERS = (
    Reader("dicom", written(_single), _alone),
    Reader("dicom colour", written(_colour), _alone),
    Reader("dicom palette", written(_palette), _alone),
    Reader("dicom tables", written(_tables), _alone),
    Reader("dicom packed", written(_packed), _alone),
    Reader("dicom series", written(_series), _found),
    Reader("dicom enhanced", written(_enhanced), _found),
    Reader("dicom contours", written(_contours), _found, ("contours.dcm",)),
    *(Reader(f"volume {name}", written(_nifti(name)), _found) for name in ("a.nii", "a.nii.gz")),
    *(
        Reader(f"volume {name}", written(_itk(name)), _found)
        for name in ("a.mha", "a.mhd", "a.nrrd", "a.nhdr")
    ),
    Reader("volume packed.mha", written(_itk("a.mha", packed=True)), _found),
    Reader("volume packed.nrrd", written(_itk("a.nrrd", packed=True)), _found),
    *(Reader(f"labels {name}", written(_nifti(name)), _labels) for name in ("a.nii.gz",)),
    *(Reader(f"labels {name}", written(_itk(name)), _labels) for name in ("a.seg.nrrd",)),
)
