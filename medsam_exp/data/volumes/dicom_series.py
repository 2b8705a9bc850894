"""The frames of one DICOM series, ordered by place, as a volume; faults of the series in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_frames import Frame
from medsam_exp.data.volumes.grid import Affine, check_affine
from medsam_exp.types import UserError

_SAME_DIRECTION = 1e-3  # per component of a direction's cosines
_UNEVEN = 0.1  # of the distance between slices; scanners round positions to a hundredth of it
_TELL_APART = (
    "AcquisitionNumber",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "ImageType",
)


@dataclass(frozen=True)
class OrderedSeries:
    """Slices of a regular grid, in order.

    Attributes:
        frames: along the grid's axis k.
        affine: of (column, row, slice) indices.
        note: what was mended; None where nothing was.
    """

    frames: tuple[Frame, ...]
    affine: Affine
    note: str | None = None


def split_series(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The phases, echoes or b-values of a series that takes every slice several times; else the series itself."""
    if not _repeats(frames):
        return [list(frames)]
    for name in _TELL_APART:
        parts: dict[str, list[Frame]] = {}
        for frame in frames:
            parts.setdefault(str(frame.header.get(name)), []).append(frame)
        if len(parts) > 1 and not any(_repeats(part) for part in parts.values()):
            return [parts[key] for key in sorted(parts, key=lambda text: (len(text), text))]
    return [list(frames)]


def order_series(frames: Sequence[Frame], name: str) -> OrderedSeries:
    """Order slices along their normal, and find the grid that they lie on.

    Args:
        frames: of one series, each with a place in the patient.
        name: of the series, for errors.

    Raises:
        UserError: sizes or orientations are mixed, slices are missing, doubled or unevenly spaced.
    """
    frames, copies = _without_copies(frames)
    _refuse_mixture(frames, name)
    orientation = _orientation(frames[0])
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(frames[number] for number in order)
    step = _step(positions[order], normal, ordered[0], name)
    if ordered[0].spacing_mm is None:
        raise UserError(f"{name} says no PixelSpacing, so its voxels have no size: export it again")
    row_mm, column_mm = ordered[0].spacing_mm
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * column_mm, orientation[3:] * row_mm
    affine[:3, 2], affine[:3, 3] = step, positions[order[0]]
    note = f"{name} has {copies} images twice; one of each was kept" if copies else None
    return OrderedSeries(ordered, check_affine(affine, name), note)


def _repeats(frames: Sequence[Frame]) -> bool:
    places = {_place(frame) for frame in frames}
    return len(places) < len({(frame.header.get("SOPInstanceUID"), frame.number) for frame in frames})


def _place(frame: Frame) -> tuple[float, ...]:
    assert frame.position is not None  # callers give frames with places only
    return tuple(np.round(np.concatenate([frame.position, _orientation(frame)]), 2).tolist())


def _orientation(frame: Frame) -> NDArray[np.float64]:
    assert frame.orientation is not None
    return frame.orientation


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], int]:
    """Files that were copied twice have the same instance UID."""
    first: dict[tuple[str, int], Frame] = {}
    for frame in frames:
        first.setdefault((str(frame.header.get("SOPInstanceUID")), frame.number), frame)
    return list(first.values()), len(frames) - len(first)


def _refuse_mixture(frames: Sequence[Frame], name: str) -> None:
    turns = np.array([_orientation(frame) for frame in frames])
    differing = int((np.abs(turns - turns[0]).max(axis=1) > _SAME_DIRECTION).sum())
    if differing:
        raise UserError(
            f"{name} mixes orientations ({differing} of {len(frames)} slices lie otherwise than the first): "
            "give each orientation as a series of its own"
        )
    sizes = len({(int(frame.header.Rows), int(frame.header.Columns)) for frame in frames})
    spacings = len({np.round(frame.spacing_mm or (0, 0), 4).tobytes() for frame in frames})
    for what, kinds in {"sizes": sizes, "pixel spacings": spacings}.items():
        if kinds > 1:
            raise UserError(f"{name} mixes {what} ({kinds} kinds): give each kind as a series of its own")


def _step(
    positions: NDArray[np.float64], normal: NDArray[np.float64], first: Frame, name: str
) -> NDArray[np.float64]:
    """(3,) mm from slice to slice; the slices of a tilted gantry also move within their plane."""
    if len(positions) == 1:
        thickness = first.header.get("SpacingBetweenSlices") or first.header.get("SliceThickness") or 1.0
        return normal * abs(float(thickness))
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    doubled = int((gaps < 1e-3).sum())
    if doubled:
        raise UserError(
            f"{name} has {doubled} slices twice at one place with different pixels (several phases or echoes?): "
            "give each as a series of its own"
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
