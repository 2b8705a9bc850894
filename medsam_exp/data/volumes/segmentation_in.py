"""Masks of DICOM-SEG and RTSTRUCT objects, brought onto the voxels of the scan that they segment.

Not read by highdicom, which refuses objects that lack an element of the standard that nothing here needs, and does not
read contours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_header import Frame, frames_of, functional_group, read_all
from medsam_exp.data.volumes.file_errors import naming_its_header
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.runtime.foreign import naming_the_file
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Segmented:
    """A segmentation on the voxels of its scan.

    Attributes:
        labels: (I, J, K) int64, 0 background, else the segment's number.
        names: the segments' labels by number.
    """

    labels: NDArray[np.int64]
    names: dict[int, str]


def refers_to(header: Dataset, facts: ScanFacts) -> bool:
    """Whether a DICOM-SEG or RTSTRUCT object segments a scan.

    Args:
        header: of the object.
        facts: of the scan.

    Returns:
        Whether the object references the scan's series; without such references, its frame of reference.
    """
    with naming_its_header(header.get("SOPInstanceUID") or "a DICOM segmentation"):
        if named := set(_series(header)):
            return facts.source.get("series_uid") in named
        frames = {
            str(item.get("FrameOfReferenceUID") or "")
            for item in (header, *(header.get("ReferencedFrameOfReferenceSequence") or ()))
        }
        return facts.source.get("frame_of_reference_uid") in frames - {""}


def _series(header: Dataset) -> Iterator[str]:
    items = list(header.get("ReferencedSeriesSequence") or ())
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            items += study.get("RTReferencedSeriesSequence") or ()
    yield from (str(item.SeriesInstanceUID) for item in items if "SeriesInstanceUID" in item)


def _paint(
    target: NDArray[np.int64],
    plane: NDArray[np.int64],
    foreground: Collection[int] | None,
    path: Path,
    names: Mapping[int, str],
) -> None:
    """Put the (I, J) segment numbers of one slice into a scan's slice, in place; see `read_segmentation`."""
    if target.shape != plane.shape:
        raise UserError(
            f"{path} has frames of {plane.shape[0]} x {plane.shape[1]} pixels, its images have "
            f"{target.shape[0]} x {target.shape[1]}: resample it to the images' grid"
        )
    if foreground is not None:
        target[np.isin(plane, list(foreground))] = 1
        return
    both = (target > 0) & (plane > 0) & (target != plane)
    if both.any():
        pair = [f"{n} {names.get(n, '')}".strip() for n in (int(target[both][0]), int(plane[both][0]))]
        raise UserError(
            f"{path} has segments that overlap ({' and '.join(pair)}): name those wanted with --foreground, "
            "which unites them"
        )
    target[plane > 0] = plane[plane > 0]


_OFF_SLICE = 0.25  # of the distance between slices, by which a contour may miss its slice
_LARGEST_LABEL = 255


def _read_contours(
    path: Path, dataset: Dataset, facts: ScanFacts, foreground: Collection[int] | None
) -> Segmented:
    """Pixels whose centre lies within closed contours; slices without contours are background.

    Contours of one structure on one slice exclude each other's inside, so that an inner one is a hole (DICOM PS3.3,
    section C.8.8.6). Labels are the structures' numbers, or their order where these do not fit into a mask.
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
            _paint(labels[:, :, k], np.where(inside, label, 0), foreground, path, named)
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


_OFF_GRID = 0.05  # voxels by which a segmentation's frame may miss the scan's grid


def read_segmentation(path: Path, facts: ScanFacts, foreground: Collection[int] | None = None) -> Segmented:
    """Read a DICOM-SEG or RTSTRUCT object; slices it does not mention are background.

    Args:
        path: the file.
        facts: of the scan that it segments.
        foreground: numbers of segments to be united as label 1; None keeps all apart.

    Raises:
        UserError: the file is damaged, does not lie on the scan's voxels, or its segments overlap.
    """
    with naming_the_file(path, "is a damaged DICOM segmentation"):
        dataset = read_all(path)
        read = _read_contours if dataset.get("Modality") == "RTSTRUCT" else _read_frames
        return read(path, dataset, facts, foreground)


def _read_frames(
    path: Path, dataset: Dataset, facts: ScanFacts, foreground: Collection[int] | None
) -> Segmented:
    pixels = _pixels(dataset, path)
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.get("SegmentSequence", ())}
    labels = np.zeros(facts.shape, np.int64)
    images = enumerate(facts.source.get("images", []))
    by_image = {(str(uid), int(number)): k for k, (uid, number) in images}
    for frame, picture in zip(frames_of(path, dataset), pixels, strict=True):
        plane = _numbered(dataset, frame, picture)
        k = _slice_covered(frame, facts, path, by_image)
        _paint(labels[:, :, k], plane.T, foreground, path, names)
    return Segmented(labels, names)


def _pixels(dataset: Dataset, path: Path) -> NDArray[Any]:
    try:
        pixels = dataset.pixel_array
    except Exception as error:  # decoders of damaged files raise anything
        raise UserError(f"{path} has pixels that cannot be decoded ({error}): copy it again") from error
    return pixels if pixels.ndim == 3 else pixels[None]


def _numbered(dataset: Dataset, frame: Frame, picture: NDArray[Any]) -> NDArray[np.int64]:
    """(H, W) segment numbers of one frame."""
    kind = dataset.get("SegmentationType", "BINARY")
    if kind == "LABELMAP":
        return picture.astype(np.int64)
    half = float(dataset.get("MaximumFractionalValue", 255)) / 2 if kind == "FRACTIONAL" else 0
    identity = functional_group(dataset, frame.number, "SegmentIdentificationSequence")
    number = int(identity.ReferencedSegmentNumber) if identity is not None else 1
    return np.where(picture > half, number, 0)


def _slice_covered(
    frame: Frame, facts: ScanFacts, path: Path, by_image: Mapping[tuple[str, int], int]
) -> int:
    """The slice of the scan that a segmentation's frame covers: by place, else by the image it came from."""
    at = f"{path}, frame {frame.number + 1}"
    if facts.placed and frame.position is not None and frame.orientation is not None:
        place = np.linalg.solve(facts.affine, [*frame.position, 1])[:3]
        row_mm, column_mm = frame.spacing_mm or (0.0, 0.0)
        steps = np.column_stack([frame.orientation[:3] * column_mm, frame.orientation[3:] * row_mm])
        turned = np.linalg.solve(facts.affine[:3, :3], steps)
        k = int(np.rint(place[2]))
        fits = np.abs(place - [0, 0, k]).max() < _OFF_GRID and 0 <= k < facts.shape[2]
        if not fits or np.abs(turned - np.eye(3)[:, :2]).max() > _OFF_GRID / max(facts.shape):
            raise UserError(
                f"{at}, does not lie on the voxels of {facts.shown}: resample it to the images' grid"
            )
        return k
    derivation = functional_group(frame.header, frame.number, "DerivationImageSequence")
    if derivation is not None and (sources := derivation.get("SourceImageSequence")):
        uid, numbers = str(sources[0].ReferencedSOPInstanceUID), sources[0].get("ReferencedFrameNumber")
        number = int(numbers[0] if isinstance(numbers, list | tuple) else numbers or 1)
        if (found := by_image.get((uid, number - 1))) is not None:
            return found
    raise UserError(
        f"{at}, says neither a place nor an image of {facts.shown}: export the segmentation with references to "
        "its images"
    )
