"""DICOM series and single DICOM images as scans."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.volumes.dicom_header import Frame, patient_of
from medsam_exp.data.volumes.dicom_pixels import has_window, is_gray, read_colours, read_values, render_gray
from medsam_exp.data.volumes.dicom_series import Part, order_series, split_series
from medsam_exp.data.volumes.file_errors import naming_the_file
from medsam_exp.data.volumes.grid import Affine
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
    pictures = [frame for frame in frames if frame.position is None]
    scans: list[DicomScan] = []
    faults: list[str] = []
    try:
        parts = _parts(placed, root)
    except UserError as error:
        parts, faults = [], [str(error)]
    groups = [
        list(group) for _, group in groupby(sorted(pictures, key=_file_order), key=lambda one: one.path)
    ]
    makers = [
        *(partial(_volume, part, root) for part in parts),
        *(partial(_pictures, g, root) for g in groups),
    ]
    for make in makers:
        try:
            scans.append(make())
        except UserError as error:
            faults.append(str(error))
    return scans, faults


def _parts(frames: Sequence[Frame], root: Path) -> list[Part]:
    if not frames:
        return []
    with naming_the_file(_shown_as(frames, root), "has a damaged header", "export it again"):
        return split_series(frames)


def _file_order(frame: Frame) -> tuple[str, int]:
    return str(frame.path), frame.number


def _shown_as(frames: Sequence[Frame], root: Path) -> str:
    if len({frame.path for frame in frames}) == 1:
        return _relative(frames[0].path, root)
    return f"the series in {_relative(frames[0].path.parent, root)} ({_series_name(frames[0])})"


def _volume(part: Part, root: Path) -> DicomScan:
    """Images with a place in the patient, in order on a regular grid."""
    shown_as = _shown_as(part.frames, root)
    with naming_the_file(shown_as, "has a damaged header", "export it again"):
        ordered = order_series(part.frames, shown_as)
        return _scan(
            ordered.frames,
            shown_as,
            ordered.affine,
            placed=True,
            spacing_known=True,
            notes=[f"{shown_as} {note}" for note in part.notes],
            stem=ordered.frames[0].path.parent.name,
            files=tuple(frame.path for frame in ordered.frames),
        )


def _pictures(frames: Sequence[Frame], root: Path) -> DicomScan:
    """Pictures of one file that have no place in the patient."""
    path, spacing = frames[0].path, frames[0].spacing_mm
    with naming_the_file(path, "has a damaged header", "export it again"):
        row_mm, column_mm = spacing or (1.0, 1.0)
        return _scan(
            frames,
            _relative(path, root),
            np.diag([column_mm, row_mm, 1.0, 1.0]),
            placed=False,
            spacing_known=spacing is not None,
            notes=[],
            stem=path.stem,
            files=(path,),
        )


def _scan(
    frames: Sequence[Frame],
    shown_as: str,
    affine: Affine,
    *,
    placed: bool,
    spacing_known: bool,
    notes: Sequence[str],
    stem: str,
    files: tuple[Path, ...],
) -> DicomScan:
    """Frames with what their headers say of all of them; arguments as the attributes of `ScanFacts`."""
    header = frames[0].header
    facts = ScanFacts(
        shown_as,
        "dicom",
        (int(header.Columns), int(header.Rows), len(frames)),
        affine,
        placed=placed,
        spacing_known=spacing_known,
        modality=str(header.get("Modality", "")),
        patient=patient_of(header) or str(frames[0].path),
        source=_references(frames),
        notes=(*notes, *_remarks(frames, shown_as), *_burnt_in(frames[0], shown_as)),
        stem=stem,
        files=files,
    )
    return DicomScan(frames, facts)


def _references(frames: Sequence[Frame]) -> dict[str, object]:
    """Unique ids that a segmentation refers to; they name no patient."""
    header = frames[0].header
    return {
        "study_uid": str(header.get("StudyInstanceUID", "")),
        "series_uid": str(header.get("SeriesInstanceUID", "")),
        "frame_of_reference_uid": str(header.get("FrameOfReferenceUID", "")),
        "images": [[str(frame.header.get("SOPInstanceUID", "")), frame.number] for frame in frames],
    }


def _remarks(frames: Sequence[Frame], shown_as: str) -> list[str]:
    counts = Counter(remark for frame in frames for remark in frame.remarks)
    return [f"{shown_as}: {count} of {len(frames)} images {remark}" for remark, count in counts.items()]


def _burnt_in(frame: Frame, shown_as: str) -> list[str]:
    if str(frame.header.get("BurnedInAnnotation") or "").upper() == "YES":
        return [f"{shown_as} says that text is burnt into its pixels: it may show the patient's name"]
    return []


def _series_name(frame: Frame) -> str:
    header = frame.header
    uid = str(header.get("SeriesInstanceUID", ""))
    return f"{header.get('Modality', 'no modality')}, SeriesInstanceUID ending in {uid[-12:]}"


def _relative(path: Path, root: Path) -> str:
    if path == root:
        return path.name
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
