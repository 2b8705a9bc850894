"""The frames of one DICOM series, ordered by place, as a volume; faults of the series in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_copies import (
    are_copies,
    by_folder,
    groups_without_ids,
    repeats,
    without_copies,
)
from medsam_exp.data.volumes.dicom_frames import Frame
from medsam_exp.data.volumes.dicom_phases import split_phases
from medsam_exp.data.volumes.grid import Affine, check_affine
from medsam_exp.types import UserError

_SAME_DIRECTION = 1e-3  # per component of a direction's cosines
_UNEVEN = 0.1  # of the distance between slices; scanners round positions to a hundredth of it


@dataclass(frozen=True)
class OrderedSeries:
    """Slices of a regular grid, in order.

    Attributes:
        frames: along the grid's axis k.
        affine: of (column, row, slice) indices.
    """

    frames: tuple[Frame, ...]
    affine: Affine


@dataclass(frozen=True)
class Part:
    """Images of a series that make one volume.

    Attributes:
        frames: in any order, each with a place in the patient.
        notes: how they were chosen, to follow the series' name and a blank.
    """

    frames: list[Frame]
    notes: tuple[str, ...] = ()


def split_series(frames: Sequence[Frame]) -> list[Part]:
    """The volumes of one SeriesInstanceUID: mostly one, without copies of images.

    A series that takes every slice several times is divided into its phases; one whose unique ids tell nothing, by
    folder and geometry; one that makes no volume otherwise, by folder.

    Raises:
        UserError: pixels that must be compared cannot be decoded.
    """
    kept, copies = without_copies(frames, of_one_id=True)
    groups = groups_without_ids(kept)
    if groups is None:
        return _parts(kept, copies)
    said = "has unique ids that do not tell its images apart: folders, places and sizes did"
    # The copies cannot be told by group any more; the first part says how many there were.
    parts = [part for n, group in enumerate(groups) for part in _parts(group, copies if n == 0 else 0)]
    return [Part(part.frames, (said, *part.notes)) for part in parts]


def _parts(frames: Sequence[Frame], copies: int) -> list[Part]:
    if repeats(frames) and not are_copies(frames) and (found := split_phases(frames)):
        return _told(*found, copies)
    once, more = without_copies(frames, of_one_id=False) if repeats(frames) else (list(frames), 0)
    if repeats(once) and (found := split_phases(once)):
        return _told(*found, copies + more)
    return _told(_makes_volumes(once), "folder", copies + more)


def _told(parts: Sequence[list[Frame]], by: str, copies: int) -> list[Part]:
    """Parts with notes; the first one says how many copies were dropped from all."""
    dropped = f"has {copies} images twice (same place, same pixels); one of each was kept"
    notes = [[f"is part {n} of {len(parts)} of its series, by {by}"] for n in range(1, len(parts) + 1)]
    if len(parts) == 1:
        notes = [[]]
    return [
        Part(part, tuple([dropped, *own] if copies and n == 0 else own))
        for n, (part, own) in enumerate(zip(parts, notes, strict=True))
    ]


def _makes_volumes(frames: list[Frame]) -> list[list[Frame]]:
    """All frames; or those of each folder, where only these make volumes and not every image has its own folder."""
    folders = by_folder(frames)
    if 1 < len(folders) < len(frames) and not _is_volume(frames) and all(map(_is_volume, folders)):
        return folders
    return [frames]


def _is_volume(frames: Sequence[Frame]) -> bool:
    try:
        order_series(frames, "")
    except UserError:
        return False
    return True


def order_series(frames: Sequence[Frame], name: str) -> OrderedSeries:
    """Order slices along their normal, and find the grid that they lie on.

    Args:
        frames: of one series, each with a place in the patient.
        name: of the series, for errors.

    Raises:
        UserError: sizes or orientations are mixed, slices are missing, doubled or unevenly spaced.
    """
    _refuse_mixture(frames, name)
    orientation = _orientation(frames[0])
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(frames[number] for number in order)
    step = _step(positions[order], normal, ordered, name)
    if ordered[0].spacing_mm is None:
        raise UserError(f"{name} says no usable PixelSpacing, so its voxels have no size: export it again")
    row_mm, column_mm = ordered[0].spacing_mm
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * column_mm, orientation[3:] * row_mm
    affine[:3, 2], affine[:3, 3] = step, positions[order[0]]
    return OrderedSeries(ordered, check_affine(affine, name))


def _orientation(frame: Frame) -> NDArray[np.float64]:
    assert frame.orientation is not None
    return frame.orientation


def _refuse_mixture(frames: Sequence[Frame], name: str) -> None:
    turns = np.array([_orientation(frame) for frame in frames])
    differing = int((np.abs(turns - turns[0]).max(axis=1) > _SAME_DIRECTION).sum())
    if differing:
        raise UserError(
            f"{name} mixes orientations ({differing} of {len(frames)} slices lie otherwise than the first): "
            f"{_ways_out(frames, 'orientation')}"
        )
    sizes = len({frame.size for frame in frames})
    spacings = len({np.round(frame.spacing_mm or (0, 0), 4).tobytes() for frame in frames})
    for what, kinds in {"sizes": sizes, "pixel spacings": spacings}.items():
        if kinds > 1:
            raise UserError(f"{name} mixes {what} ({kinds} kinds): {_ways_out(frames, 'kind')}")


def _step(
    positions: NDArray[np.float64], normal: NDArray[np.float64], frames: Sequence[Frame], name: str
) -> NDArray[np.float64]:
    """(3,) mm from slice to slice; the slices of a tilted gantry also move within their plane."""
    if len(positions) == 1:
        header = frames[0].header
        thickness = header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0
        return normal * abs(float(thickness))
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    doubled = int((gaps < 1e-3).sum())
    if doubled:
        raise UserError(
            f"{name} has {doubled} slices twice at one place with different pixels (several phases or echoes?), and "
            f"no element tells complete sets of slices apart: {_ways_out(frames, 'set')}"
        )
    wide = np.flatnonzero(gaps > 1.5 * usual)
    if wide.size:
        missing = int(np.rint(gaps[wide] / usual - 1).sum())
        raise UserError(
            f"{name} lacks about {missing} of {len(positions) + missing} slices (first gap {gaps[wide[0]]:.2f} mm "
            f"after slice {wide[0] + 1}, elsewhere {usual:.2f} mm): copy the series again"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    drift = positions - positions[0] - np.arange(len(positions))[:, None] * step
    if np.linalg.norm(drift, axis=1).max() > _UNEVEN * usual:
        raise UserError(
            f"{name} has unevenly spaced slices ({gaps.min():.2f} to {gaps.max():.2f} mm): resample it to even ones"
        )
    return step


def _ways_out(frames: Sequence[Frame], what: str) -> str:
    if len({frame.path for frame in frames}) == 1:
        return "turn the file into one NIfTI file for each volume (dcm2niix, then fslsplit)"
    return f"put the files of each {what} into a folder of their own"
