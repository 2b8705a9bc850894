"""Contours of RTSTRUCT objects as masks on the slices of the series that they were drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.segmented import Segmented, paint
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_OFF_SLICE = 0.25  # of the distance between slices, by which a contour may miss its slice
_LARGEST_LABEL = 255


def is_contours(header: Dataset) -> bool:
    """Whether a DICOM object is an RTSTRUCT."""
    return header.get("Modality") == "RTSTRUCT"


def read_contours(
    path: Path, dataset: Dataset, facts: ScanFacts, foreground: Collection[int] | None = None
) -> Segmented:
    """Pixels whose centre lies within closed contours; slices without contours are background.

    Contours of one structure on one slice exclude each other's inside, so that an inner one is a hole (DICOM PS3.3,
    section C.8.8.6). Labels are the structures' numbers, or their order where these do not fit into a mask.

    Args:
        path: the file, for errors.
        dataset: its elements.
        facts: of the series that it refers to.
        foreground: labels of structures to be united as label 1; None keeps all apart.

    Raises:
        UserError: contours do not lie on the scan's slices, or structures overlap.
    """
    names = {int(item.ROINumber): str(item.get("ROIName") or "") for item in dataset.StructureSetROISequence}
    fits = all(0 < number <= _LARGEST_LABEL for number in names)
    numbers = {number: number if fits else n for n, number in enumerate(names, start=1)}
    labels = np.zeros(facts.shape, np.int64)
    named, closed = {numbers[number]: name for number, name in names.items() if name}, 0
    for structure in dataset.get("ROIContourSequence") or ():
        label = numbers[int(structure.ReferencedROINumber)]
        slices = _slices(structure, facts, path)
        closed += len(slices)
        for k, inside in slices.items():
            paint(labels[:, :, k], np.where(inside, label, 0), foreground, path, named)
    if not closed:
        raise UserError(f"{path} is an RTSTRUCT without closed contours: draw some, or remove it")
    return Segmented(labels, named)


def _slices(structure: Dataset, facts: ScanFacts, path: Path) -> dict[int, NDArray[np.bool_]]:
    """(I, J) bool by slice: what lies within an odd number of the structure's contours."""
    from skimage.draw import polygon

    found: dict[int, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(facts.shape[:2], bool))
    for contour in structure.get("ContourSequence") or ():
        if not str(contour.get("ContourGeometricType", "")).replace("_", "").startswith("CLOSEDPLANAR"):
            continue  # points and open lines have no inside
        points = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
        voxels = np.linalg.solve(facts.affine, np.column_stack([points, np.ones(len(points))]).T)[:3].T
        k = _slice_of(voxels, facts, path)
        found[k][polygon(voxels[:, 0], voxels[:, 1], facts.shape[:2])] ^= True
    return found


def _slice_of(voxels: NDArray[np.float64], facts: ScanFacts, path: Path) -> int:
    k = round(float(voxels[:, 2].mean()))
    if np.abs(voxels[:, 2] - k).max() > _OFF_SLICE or not 0 <= k < facts.shape[2]:
        raise UserError(
            f"{path} has a contour that lies on no slice of {facts.shown} (slice {voxels[:, 2].mean():.2f} of 0 to "
            f"{facts.shape[2] - 1}): export the contours on the slices of this series"
        )
    return k
