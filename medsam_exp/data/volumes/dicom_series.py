"""The frames of one DICOM series as volumes: copies dropped, phases divided, slices ordered by place."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_header import Frame, functional_group
from medsam_exp.data.volumes.dicom_pixels import is_gray, read_colours, read_values
from medsam_exp.data.volumes.grid import Affine, check_affine
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_DIRECTION = 1e-3  # per component of a direction's cosines
_UNEVEN = 0.1  # of the distance between slices; scanners round positions to a hundredth of it
_TELL_APART = (
    *("AcquisitionNumber", "EchoNumbers", "TemporalPositionIdentifier", "TemporalPositionIndex"),
    *("EchoTime", "EffectiveEchoTime", "InversionTime", "DiffusionBValue", "DiffusionGradientOrientation"),
    *("TriggerTime", "NominalCardiacTriggerDelayTime", "ContrastBolusAgent", "ImageType", "FrameType"),
    *("FrameAcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime", "FrameAcquisitionDateTime"),
)
_IN_TIME = (
    *("TriggerTime", "NominalCardiacTriggerDelayTime", "AcquisitionNumber", "FrameAcquisitionNumber"),
    *("AcquisitionDateTime", "FrameAcquisitionDateTime", "AcquisitionTime"),
)
_GROUPS = {  # functional groups of enhanced images, by the element that they hold
    "TemporalPositionIndex": ("FrameContentSequence",),
    "FrameAcquisitionNumber": ("FrameContentSequence",),
    "FrameAcquisitionDateTime": ("FrameContentSequence",),
    "EffectiveEchoTime": ("MREchoSequence",),
    "DiffusionBValue": ("MRDiffusionSequence",),
    "DiffusionGradientOrientation": ("MRDiffusionSequence", "DiffusionGradientDirectionSequence"),
    "NominalCardiacTriggerDelayTime": ("CardiacSynchronizationSequence",),
    "FrameType": ("MRImageFrameTypeSequence",),
}
_DIMENSION = "DimensionIndexValues"

_Place = tuple[float | int, ...]
"""Position, orientation and size of an image."""


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
    kept, copies = _without_copies(frames, of_one_id=True)
    groups = _groups_without_ids(kept)
    if groups is None:
        return _parts(kept, copies)
    said = "has unique ids that do not tell its images apart: folders, places and sizes did"
    # The copies cannot be told by group any more; the first part says how many there were.
    parts = [part for n, group in enumerate(groups) for part in _parts(group, copies if n == 0 else 0)]
    return [Part(part.frames, (said, *part.notes)) for part in parts]


def _parts(frames: Sequence[Frame], copies: int) -> list[Part]:
    if _repeats(frames) and not _are_copies(frames) and (found := _split_phases(frames)):
        return _told(*found, copies)
    once, more = _without_copies(frames, of_one_id=False) if _repeats(frames) else (list(frames), 0)
    if _repeats(once) and (found := _split_phases(once)):
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
    folders = _grouped_by(frames, lambda frame: frame.path.parent)
    if 1 < len(folders) < len(frames) and not _is_volume(frames) and all(map(_is_volume, folders)):
        return folders
    return [frames]


def _is_volume(frames: Sequence[Frame]) -> bool:
    try:
        order_series(frames, "")
    except UserError:
        return False
    return True


def order_series(frames: Sequence[Frame], name: str) -> tuple[tuple[Frame, ...], Affine]:
    """Order slices along their normal, and find their regular grid.

    Args:
        frames: of one series, each with a position in the patient.
        name: of the series, for errors.

    Returns:
        The slices along the grid's axis k, and its affine of (column, row, slice) indices.

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
    return ordered, check_affine(affine, name)


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
    result: NDArray[np.float64] = step
    return result


def _ways_out(frames: Sequence[Frame], what: str) -> str:
    if len({frame.path for frame in frames}) == 1:
        return "turn the file into one NIfTI file for each volume (dcm2niix, then fslsplit)"
    return f"put the files of each {what} into a folder of their own"


def _place_of(frame: Frame) -> _Place:
    """Position, orientation (rounded to hundredths) and size of an image: what another image at its place shares."""
    assert frame.position is not None  # callers give frames with places only
    assert frame.orientation is not None
    return (*np.round(np.concatenate([frame.position, frame.orientation]), 2).tolist(), *frame.size)


def _repeats(frames: Iterable[Frame]) -> bool:
    """Whether any two images have the same place."""
    return max(Counter(map(_place_of, frames)).values(), default=0) > 1


def _are_copies(frames: Iterable[Frame]) -> bool:
    """Whether all images that share a place have the same pixels, too; stops at the first place that says no.

    Raises:
        UserError: pixels that are to be compared cannot be decoded.
    """
    groups = _grouped_by(list(frames), _place_of)
    return all(len(set(map(_pixels_digest, group))) == 1 for group in groups if len(group) > 1)


def _without_copies(frames: Sequence[Frame], *, of_one_id: bool) -> tuple[list[Frame], int]:
    """The first of all images that have the same place and the same pixels, and how many were dropped.

    Args:
        frames: in any order, which is kept.
        of_one_id: whether copies must have the same instance UID, too, as files that were copied do.

    Raises:
        UserError: pixels that are to be compared cannot be decoded.
    """
    dropped = set()
    for group in _grouped_by(frames, lambda one: (_place_of(one), _instance_of(one) if of_one_id else None)):
        seen: set[str] = set()
        for frame in group if len(group) > 1 else ():
            pixels = _pixels_digest(frame)
            if pixels in seen:
                dropped.add(id(frame))
            seen.add(pixels)
    return [frame for frame in frames if id(frame) not in dropped], len(dropped)


def _instance_of(frame: Frame) -> tuple[str, int]:
    """What should name an image: its file's unique id, and its place in the file."""
    return str(frame.header.get("SOPInstanceUID") or ""), frame.number


def _groups_without_ids(frames: Sequence[Frame]) -> list[list[Frame]] | None:
    """Groups by folder and geometry where unique ids do not tell images apart; None where they do.

    Anonymisers write one word into all of them, or leave them out. Folders are not asked where each holds one image.
    """
    ids = Counter(map(_instance_of, frames))
    if max(ids.values()) == 1 and frames[0].header.get("SeriesInstanceUID") and all(uid for uid, _ in ids):
        return None
    by_folder = _grouped_by(frames, lambda frame: (frame.path.parent, _geometry(frame)))
    by_geometry = _grouped_by(frames, _geometry)
    return by_geometry if max(map(len, by_folder)) == 1 else by_folder


def _grouped_by(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())


def _geometry(frame: Frame) -> Hashable:
    assert frame.orientation is not None
    spacing = np.round(frame.spacing_mm or (0.0, 0.0), 4)
    return (*np.round(frame.orientation, 2).tolist(), *spacing.tolist(), *frame.size)


def _pixels_digest(frame: Frame) -> str:
    values = read_values(frame) if is_gray(frame.header) else read_colours(frame)
    return hashlib.sha256(values.tobytes()).hexdigest()


def _split_phases(frames: Sequence[Frame]) -> tuple[list[list[Frame]], str] | None:
    """Parts of a series that each have every place once; and the names of the elements that tell them apart.

    One element is tried after another, then two together. Parts must have the same places, so an element that counts
    images splits nothing. Where none has equal values for the images of a part, as trigger times of a heart seldom
    have, the n-th images in time of all places are the n-th part, if all of them precede all of the next part.

    Returns:
        Parts in order of the elements' values; None where no element tells complete parts apart.
    """
    count = max((len(_index(frame)) for frame in frames), default=0)
    names = (*_TELL_APART, *(f"{_DIMENSION}[{n}]" for n in range(count)))
    values = {name: [_value(frame, name) for frame in frames] for name in names}
    telling = [name for name in names if len(set(values[name])) > 1]
    places = list(map(_place_of, frames))
    for chosen in chain(combinations(telling, 1), combinations(telling, 2)):
        keys = list(zip(*(values[name] for name in chosen), strict=True))
        if len(set(keys)) * len(set(places)) == len(frames) == len(set(zip(keys, places, strict=True))):
            return _grouped(frames, keys), " and ".join(chosen)
    for name in _IN_TIME:
        if name in telling and (parts := _in_time(frames, values[name])):
            return parts, name
    return None


def _grouped(frames: Sequence[Frame], keys: Sequence[tuple[str, ...]]) -> list[list[Frame]]:
    parts: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame, key in zip(frames, keys, strict=True):
        parts[key].append(frame)
    order = sorted(parts, key=lambda key: [(_number(text) or 0.0, len(text), text) for text in key])
    return [parts[key] for key in order]


def _in_time(frames: Sequence[Frame], values: Sequence[str]) -> list[list[Frame]]:
    times = [_number(text) for text in values]
    at: dict[_Place, list[tuple[float, int]]] = defaultdict(list)
    for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
        if time is None:
            return []
        at[_place_of(frame)].append((time, number))
    if len({len(images) for images in at.values()}) != 1:
        return []
    turns = list(zip(*(sorted(images) for images in at.values()), strict=True))
    if any(max(turn)[0] >= min(after)[0] for turn, after in pairwise(turns)):
        return []
    return [[frames[number] for _, number in turn] for turn in turns]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(frame: Frame, name: str) -> str:
    """What an image says under a name, as text; "" where it says nothing."""
    if name.startswith(_DIMENSION):
        index, place = _index(frame), int(name[len(_DIMENSION) + 1 : -1])
        return str(index[place]) if place < len(index) else ""
    return next((str(item[name].value) for item in _items(frame, name) if name in item), "")


def _items(frame: Frame, name: str) -> Iterator[Mapping[Any, Any] | Dataset]:
    """Where an element may stand: among the frame's own, or in the header."""
    if name in _GROUPS:
        item = functional_group(frame.header, frame.number, _GROUPS[name][0])
        for inner in _GROUPS[name][1:]:
            item = item[inner].value[0] if item is not None and item.get(inner) else None
        if item is not None:
            yield item
    yield frame.header


def _index(frame: Frame) -> Sequence[Any]:
    content = functional_group(frame.header, frame.number, "FrameContentSequence")
    values = content.get(_DIMENSION) if content is not None else None
    if values is None:
        return ()
    return values if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
