"""DICOM files written from nothing, with everything that a test wants to choose."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

PATIENT = "Mustermann^Erika"
CLASSES = {"CT": CTImageStorage, "US": UltrasoundImageStorage}


def turned(angles: Sequence[float]) -> NDArray[np.float64]:
    """(3, 3) rotation by angles (radians) about x, then y, then z."""
    x, y, z = angles
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def dicom_image(path: Path, pixels: NDArray[Any], modality: str = "CT", **elements: Any) -> FileDataset:
    """Write one image; gray (H, W), colour (H, W, 3), or frames (F, H, W) with NumberOfFrames given.

    Args:
        path: the file.
        pixels: stored integers.
        modality: as DICOM writes it.
        elements: by keyword, in place of the usual ones; None leaves one out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CLASSES.get(modality, SecondaryCaptureImageStorage)
    if modality == "US" and "NumberOfFrames" in elements:
        meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    colour = pixels.shape[-1] == 3 and "NumberOfFrames" not in elements
    height, width = pixels.shape[:2] if colour else pixels.shape[-2:]
    usual = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "PatientName": PATIENT,
        "PatientID": "4711",
        "PatientBirthDate": "19600101",
        "PatientSex": "F",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "Doctor^Anna",
        "StudyID": "1",
        "Modality": modality,
        "Manufacturer": "nobody",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "Rows": height,
        "Columns": width,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": pixels.dtype.itemsize * 8 - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": np.ascontiguousarray(pixels).tobytes(),
        **({"PlanarConfiguration": 0} if colour else {}),
    }
    for name, value in {**usual, **elements}.items():
        if value is not None:
            setattr(dataset, name, value)
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def dicom_series(
    folder: Path,
    volume: NDArray[Any],
    rotation: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    origin: Sequence[float],
    **elements: Any,
) -> None:
    """Write a CT series in an order of names that is not that of places.

    Args:
        folder: of the files.
        volume: (I, J, K) stored integers: columns, rows, slices.
        rotation: (3, 3) whose columns are the LPS directions of i, j and k.
        spacing_mm: along i, j and k.
        origin: (3,) mm LPS of the first voxel's centre.
        elements: by keyword, for every image.
    """
    names = np.random.default_rng(5).permutation(volume.shape[2])
    for k, name in enumerate(names):
        place = np.asarray(origin) + rotation[:, 2] * spacing_mm[2] * k
        chosen = {
            "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.3",
            "ImagePositionPatient": [f"{value:.10g}"[:16] for value in place],
            "ImageOrientationPatient": [f"{value:.10g}"[:16] for value in (*rotation[:, 0], *rotation[:, 1])],
            "PixelSpacing": [spacing_mm[1], spacing_mm[0]],
            "SliceThickness": spacing_mm[2],
            "InstanceNumber": int(name) + 1,
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            **elements,
        }
        dicom_image(folder / f"IM{name:04d}.dcm", volume[:, :, k].T, **chosen)


def items(*contents: Mapping[str, Any]) -> Items:
    """A DICOM sequence."""
    made = []
    for content in contents:
        item = Dataset()
        for name, value in content.items():
            setattr(item, name, value)
        made.append(item)
    return Items(made)
