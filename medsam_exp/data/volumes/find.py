"""All scans and masks below a folder, sorted out by what the files hold and how they are called."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from medsam_exp.data.images import IMAGE_SUFFIXES
from medsam_exp.data.volumes.dicom_frames import DICOM_SUFFIXES, Frame, frames_of, read_header
from medsam_exp.data.volumes.dicom_scan import scans_of
from medsam_exp.data.volumes.file_volume import open_file_volume, volume_stem, volume_suffix
from medsam_exp.data.volumes.picture_scan import PictureScan
from medsam_exp.data.volumes.scan import Scan
from medsam_exp.types import UserError

_MASK_WORDS = r"(?:masks?|seg|segmentations?|labels?|labelmap|gt|ground_?truth|annotations?|rois?)"
_MASK_NAME = re.compile(rf"(?P<of>.*?)[-_. ]?{_MASK_WORDS}(?:[-_. ]?\d+)?", re.IGNORECASE)
_MASK_FOLDER = re.compile(rf"(?:.*[-_ ])?{_MASK_WORDS}(?:T[rs])?", re.IGNORECASE)
_CHANNEL = re.compile(r"_\d{4}$")  # of nnU-Net's file names
_NO_SCANS = {".json", ".csv", ".txt", ".md", ".pdf", ".xml", ".yaml", ".yml", ".xlsx", ".tsv", ".raw", ".zraw", ".html"}


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        scans: in order of their files.
        mask_files: masks that are volumes or pictures.
        segmentations: DICOM-SEG objects with their headers.
        faults: why files or series make no scan, one sentence each.
        notes: what was passed over, one sentence each.
    """

    scans: list[Scan] = field(default_factory=list)
    mask_files: list[Path] = field(default_factory=list)
    segmentations: list[tuple[Path, Dataset]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_scans(root: Path, masks: Path | None = None) -> Found:
    """Sort all files below a folder, or one single file.

    Args:
        root: the folder, or a file.
        masks: folder in which every file is a mask, wherever it lies; None to tell masks by their names.

    Raises:
        UserError: there is nothing that can be read.
    """
    found = Found()
    series: dict[str, list[Frame]] = defaultdict(list)
    passed: Counter[str] = Counter()
    for path in _files(root, masks):
        try:
            _sort(path, root, masks, found, series, passed)
        except UserError as error:
            found.faults.append(str(error))
    for frames in series.values():
        scans, faults = scans_of(frames, root)
        found.scans += scans
        found.faults += faults
    found.notes += [f"{count} files passed over: {reason}" for reason, count in sorted(passed.items())]
    if not found.scans and not found.faults:
        raise UserError(
            f"{root} holds no scan (looked for DICOM, NIfTI, MHA, NRRD, PNG, JPEG and TIFF): check the path"
        )
    return found


def is_mask_name(path: Path, root: Path) -> bool:
    """Whether a file is a mask by its own name or that of a folder it lies in."""
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    name = volume_stem(path)
    return bool(_MASK_NAME.fullmatch(name)) or any(_MASK_FOLDER.fullmatch(folder) for folder in folders)


def masks_of(scan: Scan, mask_files: Iterable[Path]) -> list[Path]:
    """The masks that belong to a scan.

    A mask has the scan's name, with or without a word such as `_mask` or `_seg`, and lies in the same folder, in one
    beside it, or in a folder of its own; a DICOM series goes by its folder's name. A mask called just `seg` or `mask`
    belongs to all scans of its folder.
    """
    return [path for path in mask_files if _belongs(path, scan)]


def _belongs(mask: Path, scan: Scan) -> bool:
    first = scan.facts.files[0]
    key = _mask_key(mask)
    if not key:
        return mask.parent == first.parent
    names = {scan.facts.stem, _CHANNEL.sub("", scan.facts.stem), first.stem if len(scan.facts.files) == 1 else ""}
    return bool({key, volume_stem(mask)} & (names - {""}))


def _mask_key(mask: Path) -> str:
    """The scan's name in a mask's name."""
    name = volume_stem(mask)
    match = _MASK_NAME.fullmatch(name)
    return match["of"] if match else name


def _files(root: Path, masks: Path | None) -> list[Path]:
    if root.is_file():
        inside = [root]
    elif root.is_dir():
        inside = list(root.rglob("*"))
    else:
        raise UserError(f"{root} does not exist: give a folder of scans, or one file")
    if masks is not None:
        if not masks.is_dir():
            raise UserError(f"--masks: {masks} is not a folder: give the folder that holds the masks")
        inside += masks.rglob("*")
    visible = {path for path in inside if path.is_file() and not path.name.startswith(".")}
    return sorted(visible)


def _sort(
    path: Path,
    root: Path,
    masks: Path | None,
    found: Found,
    series: dict[str, list[Frame]],
    passed: Counter[str],
) -> None:
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name
    is_mask = path.is_relative_to(masks) if masks is not None else is_mask_name(path, root)
    suffix = path.suffix.lower()
    if volume_suffix(path) is not None or suffix in IMAGE_SUFFIXES:
        if is_mask:
            found.mask_files.append(path)
        elif suffix in IMAGE_SUFFIXES:
            found.scans.append(PictureScan(path, shown))
        else:
            found.scans.append(open_file_volume(path, shown))
        return
    header = None if suffix in _NO_SCANS else read_header(path)
    if header is None:
        passed["no scans"] += 1
        return
    _sort_dicom(path, header, found, series, passed)


def _sort_dicom(
    path: Path, header: Dataset, found: Found, series: dict[str, list[Frame]], passed: Counter[str]
) -> None:
    if header.get("Modality") == "SEG":
        found.segmentations.append((path, header))
    elif "Rows" not in header or "BitsAllocated" not in header:
        passed[f"DICOM without pixels ({header.get('Modality') or 'no modality'})"] += 1
    elif "LOCALIZER" in (header.get("ImageType") or ()):
        passed["localizers of DICOM studies"] += 1
    else:
        uid = str(header.get("SeriesInstanceUID") or path)
        series[uid] += frames_of(path, header)


def of_one_kind(scans: Sequence[Scan]) -> bool:
    """Whether all scans are pictures in ordinary formats."""
    return all(scan.facts.kind == "picture" for scan in scans)


__all__ = ["DICOM_SUFFIXES", "Found", "find_scans", "is_mask_name", "masks_of", "of_one_kind"]
