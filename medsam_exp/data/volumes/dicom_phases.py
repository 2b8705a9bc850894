"""Phases, echoes, b-values and heart beats of a DICOM series that takes every slice several times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING, Any

from medsam_exp.data.volumes.dicom_copies import Place, place_of
from medsam_exp.data.volumes.dicom_frames import Frame, macro

if TYPE_CHECKING:
    from pydicom import Dataset

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


def split_phases(frames: Sequence[Frame]) -> tuple[list[list[Frame]], str] | None:
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
    places = list(map(place_of, frames))
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
    at: dict[Place, list[tuple[float, int]]] = defaultdict(list)
    for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
        if time is None:
            return []
        at[place_of(frame)].append((time, number))
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
        item = macro(frame.header, frame.number, _GROUPS[name][0])
        for inner in _GROUPS[name][1:]:
            item = item[inner].value[0] if item is not None and item.get(inner) else None
        if item is not None:
            yield item
    yield frame.header


def _index(frame: Frame) -> Sequence[Any]:
    content = macro(frame.header, frame.number, "FrameContentSequence")
    values = content.get(_DIMENSION) if content is not None else None
    if values is None:
        return ()
    return values if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
