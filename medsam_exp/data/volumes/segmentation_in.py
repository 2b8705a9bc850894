"""Masks of DICOM-SEG and RTSTRUCT objects, brought onto the voxels of the scan that they segment."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.contours_in import is_contours, read_contours
from medsam_exp.data.volumes.damage import naming
from medsam_exp.data.volumes.dicom_file import read_all
from medsam_exp.data.volumes.dicom_frames import Frame, frames_of, macro
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.segmented import Segmented, paint
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

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
    with naming(path, "is a damaged DICOM segmentation"):
        dataset = read_all(path)
        if is_contours(dataset):
            return read_contours(path, dataset, facts, foreground)
        return _read_frames(path, dataset, facts, foreground)


def _read_frames(
    path: Path, dataset: Dataset, facts: ScanFacts, foreground: Collection[int] | None
) -> Segmented:
    pixels = _pixels(dataset, path)
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.get("SegmentSequence", ())}
    labels = np.zeros(facts.shape, np.int64)
    places = _Places(facts, path)
    for frame, picture in zip(frames_of(path, dataset), pixels, strict=True):
        plane = _numbered(dataset, frame, picture)
        paint(labels[:, :, places.of(frame)], plane.T, foreground, path, names)
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
    identity = macro(dataset, frame.number, "SegmentIdentificationSequence")
    number = int(identity.ReferencedSegmentNumber) if identity is not None else 1
    return np.where(picture > half, number, 0)


class _Places:
    """Finds the slice of the scan that a segmentation's frame covers: by place, else by the image it came from."""

    def __init__(self, facts: ScanFacts, path: Path) -> None:
        self._facts, self._path = facts, path
        images = facts.source.get("images", [])
        self._by_image = {(str(uid), int(number)): k for k, (uid, number) in enumerate(images)}

    def of(self, frame: Frame) -> int:
        if self._facts.placed and frame.position is not None:
            return self._by_position(frame)
        return self._by_reference(frame)

    def _by_position(self, frame: Frame) -> int:
        assert frame.position is not None
        assert frame.orientation is not None
        place = np.linalg.solve(self._facts.affine, [*frame.position, 1])[:3]
        row_mm, column_mm = frame.spacing_mm or (0.0, 0.0)
        steps = np.column_stack([frame.orientation[:3] * column_mm, frame.orientation[3:] * row_mm])
        turned = np.linalg.solve(self._facts.affine[:3, :3], steps)
        k = int(np.rint(place[2]))
        fits = np.abs(place - [0, 0, k]).max() < _OFF_GRID and 0 <= k < self._facts.shape[2]
        if not fits or np.abs(turned - np.eye(3)[:, :2]).max() > _OFF_GRID / max(self._facts.shape):
            raise UserError(
                f"{self._path}, frame {frame.number + 1}, does not lie on the voxels of {self._facts.shown}: "
                "resample it to the images' grid"
            )
        return k

    def _by_reference(self, frame: Frame) -> int:
        derivation = macro(frame.header, frame.number, "DerivationImageSequence")
        sources = derivation.get("SourceImageSequence") if derivation is not None else None
        if sources:
            uid, numbers = str(sources[0].ReferencedSOPInstanceUID), sources[0].get("ReferencedFrameNumber")
            number = int(numbers[0] if isinstance(numbers, list | tuple) else numbers or 1)
            k = self._by_image.get((uid, number - 1))
            if k is not None:
                return k
        raise UserError(
            f"{self._path}, frame {frame.number + 1}, says neither a place nor an image of {self._facts.shown}: "
            "export the segmentation with references to its images"
        )
