"""What DICOM objects that segment a series say, and which series they segment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Segmented:
    """What a segmentation says.

    Attributes:
        labels: (I, J, K) int64, 0 background, else the segment's number.
        names: the segments' labels by number.
    """

    labels: NDArray[np.int64]
    names: dict[int, str]


def refers_to(header: Dataset, facts: ScanFacts) -> bool:
    """Whether a DICOM-SEG or RTSTRUCT object segments a scan, by the series that it names, else by its frame."""
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


def paint(
    target: NDArray[np.int64],
    plane: NDArray[np.int64],
    foreground: Collection[int] | None,
    path: Path,
    names: Mapping[int, str],
) -> None:
    """Put the numbers of one slice into a scan's slice, in place.

    Args:
        target: (I, J) slice of the scan.
        plane: (I, J) segment numbers, 0 for none.
        foreground: numbers of segments to be united as label 1; None keeps all apart.
        path: for the errors' texts.
        names: of segments, likewise.

    Raises:
        UserError: the sizes differ, or segments overlap.
    """
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
