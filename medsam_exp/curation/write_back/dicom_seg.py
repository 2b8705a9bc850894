"""Predictions as DICOM-SEG objects that refer to the images they were made from."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.curation.write_back.predictions import Assembled
from medsam_exp.data.volumes.dicom_header import read_header
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.foreign import reason
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_SERIES_NUMBER = 900
_SOFTWARE = "medsam_exp"
_MAY_BE_EMPTY = (  # of the modules Patient and General Study
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)


Concept = tuple[str, str, str]
"""What a segment shows: a code, its terminology (such as SCT for SNOMED CT), and its meaning in words."""
TISSUE: Concept = ("85756007", "SCT", "Tissue")
"""For segments about which nothing more is said."""


@dataclass(frozen=True)
class SegmentNames:
    """How segments are described."""

    only: str = "prediction"  # label of the segment where there is one class without a name
    category: Concept = TISSUE  # of all segments
    type: Concept = TISSUE  # of all segments


def write_segmentations(
    out: Path, scans: Sequence[Assembled], labels: Mapping[str, int], original: Path, names: SegmentNames
) -> None:
    """Write OUT/SCAN.dcm for every scan: BINARY of masks, FRACTIONAL (probability, 256 levels) of maps.

    The objects carry patient and study as the source images do, since archives file them by these.

    Args:
        out: folder, made where missing.
        scans: what to write; all of them from DICOM.
        labels: of each class; they give the segments' order.
        original: folder with the source images.
        names: how segments are described.

    Raises:
        UserError: a scan is not from DICOM, or its images are not in `original`.
    """
    strangers = [scan.record.id for scan in scans if scan.record.kind != "dicom"]
    if strangers:
        raise UserError(
            f"{strangers[0]} was not made from DICOM, so that no DICOM-SEG can refer to it: use --to nifti"
        )
    for scan in scans:
        images = [tuple(image) for image in scan.record.source["images"]]
        if len(set(images)) < len(images) or not all(uid for uid, _ in images):
            raise UserError(
                f"the images of {scan.record.id} share a SOPInstanceUID or have none, so that no DICOM-SEG can refer "
                "to them: use --to nifti"
            )
    headers = _headers(original, {uid for scan in scans for uid, _ in scan.record.source["images"]})
    for scan in scans:
        write_atomically(out / f"{scan.record.id}.dcm", _segmentation(scan, labels, headers, names))


def _headers(original: Path, wanted: Iterable[str]) -> dict[str, Dataset]:
    """Elements of the source images by their unique id."""
    found: dict[str, Dataset] = {}
    missing = set(wanted)
    for path in sorted(original.rglob("*")) if original.is_dir() else [original]:
        if missing and path.is_file() and (header := read_header(path)) is not None:
            uid = str(header.get("SOPInstanceUID", ""))
            if uid in missing:
                missing.remove(uid)
                for name in _MAY_BE_EMPTY:  # but must be there, and anonymisers remove it
                    if name not in header:
                        setattr(header, name, "")
                found[uid] = header
    if missing:
        raise UserError(
            f"{original} lacks {len(missing)} of the source images (first: SOPInstanceUID {min(missing)}): give with "
            "--original the folder that was prepared"
        )
    return found


def _segmentation(
    scan: Assembled, labels: Mapping[str, int], headers: Mapping[str, Dataset], names: SegmentNames
) -> bytes:
    sources, stacked = _frames(scan, labels, headers)
    in_order = sorted(scan.classes, key=lambda name: labels[name])
    described = [name or names.only for name in in_order]
    try:
        dataset = _object(sources, stacked, described, names)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"no DICOM-SEG can be made that refers to the images of {scan.record.id} ({reason(error)}): use --to "
            "nifti"
        ) from error
    # Seen where a file's SOP class allows one frame only: highdicom then drops the others in silence.
    if len(dataset.PerFrameFunctionalGroupsSequence) < np.count_nonzero(stacked.any(axis=(1, 2))):
        raise UserError(
            f"{scan.record.id} has {len(stacked)} frames in a DICOM file whose SOP class allows one, so that no "
            "DICOM-SEG can refer to them: use --to nifti"
        )
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _object(
    sources: Sequence[Dataset], stacked: NDArray[Any], segments: Sequence[str], names: SegmentNames
) -> Any:
    require("highdicom")
    import highdicom
    from pydicom.sr.codedict import codes

    family = codes.DCM.ArtificialIntelligence
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label[:64],
            segmented_property_category=highdicom.sr.CodedConcept(*names.category),
            segmented_property_type=highdicom.sr.CodedConcept(*names.type),
            algorithm_type="AUTOMATIC",
            algorithm_identification=highdicom.AlgorithmIdentificationSequence(
                name=_SOFTWARE, family=family, version="1"
            ),
        )
        for number, label in enumerate(segments, start=1)
    ]
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=stacked,
        segmentation_type="FRACTIONAL" if stacked.dtype.kind == "f" else "BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=highdicom.UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=_SOFTWARE,
        manufacturer_model_name=_SOFTWARE,
        software_versions="1",
        device_serial_number="none",
        series_description="automatic segmentation, for research only",
        content_label="SEGMENTATION",
    )


def _frames(
    scan: Assembled, labels: Mapping[str, int], headers: Mapping[str, Dataset]
) -> tuple[list[Dataset], NDArray[Any]]:
    """Source images, and (F, H, W, S) of their frames with S segments."""
    images = scan.record.source["images"]
    volumes = sorted(scan.classes.items(), key=lambda item: labels[item[0]])
    stacked = np.stack([volume.transpose(2, 1, 0) for _, volume in volumes], axis=-1)
    stacked = stacked.astype(np.float32 if stacked.dtype != bool else np.uint8)
    by_file: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for k, (uid, number) in enumerate(images):
        by_file[uid].append((number, k))
    if len(by_file) == len(images) and all(
        int(headers[uid].get("NumberOfFrames") or 1) == 1 for uid in by_file
    ):
        return [headers[uid] for uid, _ in images], stacked
    if len(by_file) > 1:
        raise UserError(
            f"{scan.record.id} comes from {len(by_file)} multi-frame files, and a DICOM-SEG can refer to one: use --to "
            "nifti"
        )
    source = headers[images[0][0]]
    frames = np.zeros((int(source.NumberOfFrames), *stacked.shape[1:]), stacked.dtype)
    for number, k in by_file[images[0][0]]:
        frames[number] = stacked[k]
    return [source], frames
