"""DICOM series and single DICOM images as scans."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_header import Frame, patient_of
from medsam_exp.data.volumes.dicom_pixels import has_window, is_gray, read_colours, read_values, render_gray
from medsam_exp.data.volumes.dicom_series import Part, order_series, split_series
from medsam_exp.data.volumes.file_errors import naming_its_header
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.types import UserError


class DicomScan:
    """A DICOM series on a regular grid, or the pictures of one file that have no place in the patient."""

    def __init__(self, frames: Sequence[Frame], facts: ScanFacts) -> None:
        self.frames, self.facts = tuple(frames), facts

    def render(self, window_level: WindowLevel) -> NDArray[np.uint8]:
        """(I, J, K) gray or (I, J, K, 3) RGB; I columns, J rows, K slices or pictures.

        Raises:
            UserError: pixels cannot be decoded, or the window does not fit the modality.
        """
        if not is_gray(self.frames[0].header):
            colours = np.stack([read_colours(frame) for frame in self.frames])
            return colours.transpose(2, 1, 0, 3)
        values = np.stack([read_values(frame) for frame in self.frames])
        window = None
        if not (window_level.follows_the_file and all(map(has_window, self.frames))):
            window = window_level.window_of(values, self.facts.modality, self.facts.shown)
        pictures = [
            render_gray(
                picture, frame, None if window_level.follows_the_file and has_window(frame) else window
            )
            for picture, frame in zip(values, self.frames, strict=True)
        ]
        return np.stack(pictures).transpose(2, 1, 0)


def scans_of(frames: Sequence[Frame], root: Path) -> tuple[list[DicomScan], list[str]]:
    """Scans of the frames of one series, and why some of them make none.

    Args:
        frames: of one SeriesInstanceUID.
        root: folder that names in notes and errors are relative to.
    """
    placed = [frame for frame in frames if frame.position is not None]
    pictures = sorted(
        (frame for frame in frames if frame.position is None), key=lambda one: (str(one.path), one.number)
    )
    makers: list[Callable[[], DicomScan]] = []
    faults: list[str] = []
    if placed:
        try:
            with naming_its_header(_shown_as(placed, root)):
                makers += [partial(_volume, part, root) for part in split_series(placed)]
        except UserError as error:
            faults.append(str(error))
    makers += [
        partial(_pictures, list(group), root) for _, group in groupby(pictures, key=lambda one: one.path)
    ]
    scans: list[DicomScan] = []
    for make in makers:
        try:
            scans.append(make())
        except UserError as error:
            faults.append(str(error))
    return scans, faults


def _shown_as(frames: Sequence[Frame], root: Path) -> str:
    path, header = frames[0].path, frames[0].header
    if len({frame.path for frame in frames}) == 1:
        return _relative(path, root)
    series = f"SeriesInstanceUID ending in {str(header.get('SeriesInstanceUID', ''))[-12:]}"
    return f"the series in {_relative(path.parent, root)} ({header.get('Modality', 'no modality')}, {series})"


def _volume(part: Part, root: Path) -> DicomScan:
    """Images with a place in the patient, in order on a regular grid."""
    shown_as = _shown_as(part.frames, root)
    with naming_its_header(shown_as):
        frames, affine = order_series(part.frames, shown_as)
        return _scan(
            frames,
            shown_as,
            [f"{shown_as} {note}" for note in part.notes],
            affine=affine,
            placed=True,
            spacing_known=True,
            stem=frames[0].path.parent.name,
            files=tuple(frame.path for frame in frames),
        )


def _pictures(frames: Sequence[Frame], root: Path) -> DicomScan:
    """Pictures of one file that have no place in the patient."""
    path, spacing = frames[0].path, frames[0].spacing_mm
    with naming_its_header(path):
        row_mm, column_mm = spacing or (1.0, 1.0)
        return _scan(
            frames,
            _relative(path, root),
            affine=np.diag([column_mm, row_mm, 1.0, 1.0]),
            placed=False,
            spacing_known=spacing is not None,
            stem=path.stem,
            files=(path,),
        )


def _scan(frames: Sequence[Frame], shown_as: str, notes: Sequence[str] = (), **facts: Any) -> DicomScan:
    """Frames with what their headers say of all of them; `facts` are the other attributes of `ScanFacts`."""
    header = frames[0].header
    remarks = Counter(remark for frame in frames for remark in frame.remarks)
    said = [f"{shown_as}: {count} of {len(frames)} images {remark}" for remark, count in remarks.items()]
    if str(header.get("BurnedInAnnotation") or "").upper() == "YES":
        said.append(f"{shown_as} says that text is burnt into its pixels: it may show the patient's name")
    source = {  # unique ids that a segmentation refers to; they name no patient
        "study_uid": str(header.get("StudyInstanceUID", "")),
        "series_uid": str(header.get("SeriesInstanceUID", "")),
        "frame_of_reference_uid": str(header.get("FrameOfReferenceUID", "")),
        "images": [[str(frame.header.get("SOPInstanceUID", "")), frame.number] for frame in frames],
    }
    return DicomScan(
        frames,
        ScanFacts(
            shown_as,
            "dicom",
            (int(header.Columns), int(header.Rows), len(frames)),
            modality=str(header.get("Modality", "")),
            patient=patient_of(header) or str(frames[0].path),
            source=source,
            notes=(*notes, *said),
            **facts,
        ),
    )


def _relative(path: Path, root: Path) -> str:
    if path == root:
        return path.name
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
