"""Predictions as NIfTI in the geometry of their scan."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.curation.write_back.predictions import Assembled
from medsam_exp.data.volumes.grid import RAS_FROM_LPS
from medsam_exp.data.volumes.scan import ScanRecord
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.extras import require
from medsam_exp.runtime.json_text import json_text

_LABELS = "labels.json"


def write_nifti(out: Path, scans: Sequence[Assembled], labels: Mapping[str, int]) -> list[str]:
    """Write OUT/SCAN.nii.gz for every scan, and OUT/labels.json for several classes.

    Masks become uint8, 0 background and each class its label. Classes that overlap, and maps (float32), become a file
    each, SCAN_CLASS.nii.gz. Affine, its codes, units and number of axes are those of a NIfTI source; of DICOM the
    affine is the scanner's (code 1); of pictures without a place it gives the pixels' size only (codes 0).

    Args:
        out: folder, made where missing.
        scans: what to write.
        labels: of each class.

    Returns:
        A sentence about each scan that could not be one file.
    """
    notes = []
    for scan in scans:
        files = {f"_{name}" if name else "": volume for name, volume in scan.classes.items()}
        if all(volume.dtype == bool for volume in files.values()) and not _overlap(scan):
            joint = np.zeros(scan.record.shape, np.uint8)
            for name, mask in scan.classes.items():
                joint[mask] = labels[name]
            files = {"": joint}
        elif names := [name for name in scan.classes if name]:
            said = f"{len(names)} classes overlap or are maps, so each has its own file"
            notes.append(f"{scan.record.id}: {said}")
        for suffix, volume in files.items():
            stored = volume.astype(np.float32 if volume.dtype.kind == "f" else np.uint8)
            write_atomically(out / f"{scan.record.id}{suffix}.nii.gz", _nifti(stored, scan.record))
    if any(labels):
        text = json_text({"background": 0, **labels}, indent=1) + "\n"
        write_atomically(out / _LABELS, text.encode())
    return notes


def _overlap(scan: Assembled) -> bool:
    counts = np.zeros(scan.record.shape, np.uint8)
    for mask in scan.classes.values():
        counts += mask
    return bool(counts.max() > 1)


def _nifti(values: NDArray[Any], record: ScanRecord) -> bytes:
    require("nibabel")
    import nibabel

    axes = int(record.source.get("dimensions", 3))
    values = values[:, :, 0] if axes == 2 else values.reshape(*values.shape, *[1] * (axes - 3))
    affine = RAS_FROM_LPS @ record.affine
    header = nibabel.Nifti1Header()
    header.set_data_dtype(values.dtype)
    image = nibabel.Nifti1Image(values, affine, header)
    if fields := record.source.get("nifti"):  # the source's own words for where the voxels lie
        for name, value in fields.items():
            image.header[name] = value
        image = nibabel.Nifti1Image(values, None, image.header)
    else:
        image.header.set_xyzt_units("mm")
        code = int(record.placed)  # 1: the scanner's coordinates; 0: none
        image.set_sform(affine, code)
        directions = record.affine[:3, :3] / np.linalg.norm(record.affine[:3, :3], axis=0)
        sheared = np.abs(directions.T @ directions - np.eye(3)).max() > 1e-4  # of a tilted gantry
        image.set_qform(None if sheared else affine, 0 if sheared else code)
    return gzip.compress(image.to_bytes(), mtime=0)
