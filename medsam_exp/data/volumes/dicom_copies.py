"""Images of a DICOM series that are there twice, and series whose unique ids do not tell images apart."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from medsam_exp.data.volumes.dicom_frames import Frame
from medsam_exp.data.volumes.dicom_pixels import is_gray, read_colours, read_values

Place = tuple[float | int, ...]


def place_of(frame: Frame) -> Place:
    """Position, orientation (rounded to hundredths) and size of an image: what another image at its place shares."""
    assert frame.position is not None  # callers give frames with places only
    assert frame.orientation is not None
    return (*np.round(np.concatenate([frame.position, frame.orientation]), 2).tolist(), *frame.size)


def repeats(frames: Iterable[Frame]) -> bool:
    """Whether any two images have the same place."""
    return max(Counter(map(place_of, frames)).values(), default=0) > 1


def are_copies(frames: Iterable[Frame]) -> bool:
    """Whether all images that share a place have the same pixels, too; stops at the first place that says no.

    Raises:
        UserError: pixels that are to be compared cannot be decoded.
    """
    groups = _grouped(list(frames), place_of)
    return all(len(set(map(_pixels_digest, group))) == 1 for group in groups if len(group) > 1)


def without_copies(frames: Sequence[Frame], *, of_one_id: bool) -> tuple[list[Frame], int]:
    """The first of all images that have the same place and the same pixels, and how many were dropped.

    Args:
        frames: in any order, which is kept.
        of_one_id: whether copies must have the same instance UID, too, as files that were copied do.

    Raises:
        UserError: pixels that are to be compared cannot be decoded.
    """
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[(place_of(frame), instance_of(frame) if of_one_id else None)].append(frame)
    dropped = set()
    for group in groups.values():
        seen: set[str] = set()
        for frame in group if len(group) > 1 else ():
            pixels = _pixels_digest(frame)
            if pixels in seen:
                dropped.add(id(frame))
            seen.add(pixels)
    return [frame for frame in frames if id(frame) not in dropped], len(dropped)


def instance_of(frame: Frame) -> tuple[str, int]:
    """What should name an image: its file's unique id, and its place in the file."""
    return str(frame.header.get("SOPInstanceUID") or ""), frame.number


def groups_without_ids(frames: Sequence[Frame]) -> list[list[Frame]] | None:
    """Groups by folder and geometry where unique ids do not tell images apart; None where they do.

    Anonymisers write one word into all of them, or leave them out. Folders are not asked where each holds one image.
    """
    ids = Counter(map(instance_of, frames))
    if max(ids.values()) == 1 and all(uid and frame_has_series(frames[0]) for uid, _ in ids):
        return None
    by_folder = _grouped(frames, lambda frame: (folder_of(frame), _geometry(frame)))
    by_geometry = _grouped(frames, _geometry)
    return by_geometry if max(map(len, by_folder)) == 1 else by_folder


def frame_has_series(frame: Frame) -> bool:
    """Whether its file names a series."""
    return bool(frame.header.get("SeriesInstanceUID"))


def by_folder(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Groups by the folder that the files lie in."""
    return _grouped(frames, folder_of)


def folder_of(frame: Frame) -> Path:
    """The folder of the frame's file."""
    return frame.path.parent


def _grouped(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
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
