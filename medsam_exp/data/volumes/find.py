"""All scans and masks below a folder, sorted out by what the files hold and how they are called."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from medsam_exp.data.coco import Coco, read_coco
from medsam_exp.data.decoding import PICTURE_SUFFIXES
from medsam_exp.data.volumes.dicom_header import Frame, frames_of, read_header
from medsam_exp.data.volumes.dicom_scan import scans_of
from medsam_exp.data.volumes.file_errors import naming_its_header
from medsam_exp.data.volumes.file_volume import PictureScan, open_file_volume, volume_stem, volume_suffix
from medsam_exp.data.volumes.scan import Scan
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_MASK_WORDS = r"(?:masks?|seg|segmentations?|labels?|labelmap|gt|ground_?truth|annotations?|rois?)"
# Where a word begins in a name: after a separator or a digit, or with a capital letter.
_BREAK = r"(?:[-_. ]|(?<=\d)|(?-i:(?<=[a-z])(?=[A-Z])))"
_MASK_NAME = re.compile(rf"(?:(?P<of>.+?){_BREAK})?{_MASK_WORDS}(?:[-_. ]?\d+)?", re.IGNORECASE)
_TO_DO = r"(?:.*[-_ ])?(?:to|for|no|non|not|un|without)[-_ ]"  # scans_to_label holds scans
_MASK_FOLDER = re.compile(rf"(?!{_TO_DO})(?:.*[-_ ])?{_MASK_WORDS}(?:T[rs])?", re.IGNORECASE)
_CHANNEL = re.compile(r"_\d{4}$")  # of nnU-Net's file names
_NNUNET_FOLDER = re.compile(r"images(?:T[rs]|Val)")
_SEGMENTATIONS = {"SEG", "RTSTRUCT"}
_NO_SCANS = {
    *(".csv", ".html", ".json", ".md", ".pdf", ".raw", ".tsv"),
    *(".txt", ".xlsx", ".xml", ".yaml", ".yml", ".zraw"),
}


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        scans: in order of their files.
        mask_files: masks that are volumes or pictures.
        segmentations: DICOM-SEG and RTSTRUCT objects with their headers.
        outlines: files of annotations in COCO's format.
        faults: why files or series make no scan, one sentence each.
        notes: what was passed over, one sentence each.
    """

    scans: list[Scan] = field(default_factory=list)
    mask_files: list[Path] = field(default_factory=list)
    segmentations: list[tuple[Path, Dataset]] = field(default_factory=list)
    outlines: list[Coco] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_scans(
    root: Path, masks: Path | None = None, *, pictures: bool = True, recursive: bool = True
) -> Found:
    """Sort all files below a folder, or one single file.

    Args:
        root: the folder, or a file.
        masks: folder in which every file is a mask, wherever it lies; None to tell masks by their names.
        pictures: whether PNG and the like are looked at.
        recursive: whether folders in the folder are searched.

    Raises:
        UserError: there is nothing that can be read; without `pictures` nothing is found instead.
    """
    sorter = _Sorter(root, masks)
    for path in _files(root, masks):
        if not recursive and path.parent != root and path != root:
            continue
        if not pictures and path.suffix.lower() in PICTURE_SUFFIXES:
            continue
        try:
            sorter.add(path)
        except UserError as error:
            sorter.found.faults.append(str(error))
    found = sorter.found
    for frames in sorter.series.values():
        scans, faults = scans_of(frames, root)
        found.scans += scans
        found.faults += faults
    found.notes += [f"{count} files passed over: {reason}" for reason, count in sorted(sorter.passed.items())]
    if not pictures:
        return found
    if not found.scans and not found.faults and found.mask_files:
        first = found.mask_files[0]
        raise UserError(
            f"{root} holds no scan: all {len(found.mask_files)} images were taken for masks by their names or their "
            f"folders' (first: {first.relative_to(root) if first.is_relative_to(root) and first != root else first}): "
            "if they are scans, rename them, or give the folder of the masks with --masks"
        )
    if not found.scans and not found.faults:
        raise UserError(
            f"{root} holds no scan (looked for DICOM, NIfTI, MHA, NRRD, PNG, JPEG and TIFF): check the path"
        )
    return found


def is_mask_name(path: Path, root: Path) -> bool:
    """Whether a file is a mask by its own name or that of a folder above it.

    Args:
        path: the file.
        root: folder from which on the names of folders count.
    """
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    name = volume_stem(path)
    return bool(_MASK_NAME.fullmatch(name)) or any(_MASK_FOLDER.fullmatch(folder) for folder in folders)


def assign_masks(
    scans: Sequence[Scan], mask_files: Iterable[Path]
) -> tuple[dict[int, list[Path]], list[str]]:
    """The masks of every scan, by its place in `scans`; and a sentence about each mask that belongs to none.

    A mask has the scan's name, with or without a word such as `_mask` or `_seg`; a DICOM series goes by its folder's
    name. Where several scans have that name, the one whose folders have most names in common with the mask's is
    meant. A mask called just `seg` or `mask` belongs to all scans of its folder, and one without a channel (nnU-Net's
    _0000) or phase to all of its case.
    """
    owners: dict[int, list[Path]] = defaultdict(list)
    faults = []
    for path in mask_files:
        named = [number for number, scan in enumerate(scans) if _has_name_of(path, scan)]
        near = {number: _nearness(path, scans[number]) for number in named}
        nearest = [number for number in named if near[number] == max(near.values())]
        if nearest and (not _mask_key(path) or len({case_of(scans[number]) for number in nearest}) == 1):
            for number in nearest:
                owners[number].append(path)
        elif nearest:
            shown = " and ".join(scans[number].facts.shown for number in nearest[:2])
            faults.append(f"the mask {path} may belong to {shown}: put it beside its image")
        else:
            faults.append(f"the mask {path} has no image of its name: rename one of the two")
    return owners, faults


def case_of(scan: Scan) -> str:
    """Identifies the case of a scan: equal for its channels (nnU-Net) or the phases of its series."""
    facts, first = scan.facts, scan.facts.files[0]
    if facts.placed and facts.source.get("series_uid"):
        return f"{facts.source['study_uid']} {facts.source['series_uid']} {first.parent}"
    return str(first.parent / _CHANNEL.sub("", facts.stem))


def is_nnunet_image(scan: Scan) -> bool:
    """Whether a scan is a channel of a case by the folder that it lies in."""
    return bool(_NNUNET_FOLDER.fullmatch(scan.facts.files[0].parent.name))


def _has_name_of(mask: Path, scan: Scan) -> bool:
    first = scan.facts.files[0]
    key = _mask_key(mask)
    if not key:
        return mask.parent == first.parent
    own = {first.stem} if len(scan.facts.files) == 1 else set()
    names = own | {scan.facts.stem, _CHANNEL.sub("", scan.facts.stem)}
    return bool(_composed({key, volume_stem(mask)}) & _composed(names - {""}))


def _composed(names: Iterable[str]) -> set[str]:
    return {normalize("NFC", name) for name in names}


def _nearness(mask: Path, scan: Scan) -> int:
    return len(set(mask.parent.parts) & set(scan.facts.files[0].parent.parts))


def _mask_key(mask: Path) -> str:
    """The scan's name in a mask's name."""
    name = volume_stem(mask)
    match = _MASK_NAME.fullmatch(name)
    return (match["of"] or "") if match else name


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


class _Sorter:
    """Sorts files one by one: what was found so far, frames by series, and why files were passed over."""

    def __init__(self, root: Path, masks: Path | None) -> None:
        self._root, self._masks, self.found = root, masks, Found()
        self.series: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
        self.passed: Counter[str] = Counter()

    def add(self, path: Path) -> None:
        root, suffix = self._root, path.suffix.lower()
        shown = path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name
        if volume_suffix(path) is not None or suffix in PICTURE_SUFFIXES:
            if path.is_relative_to(self._masks) if self._masks is not None else is_mask_name(path, root):
                self.found.mask_files.append(path)
            else:
                read = PictureScan if suffix in PICTURE_SUFFIXES else open_file_volume
                self.found.scans.append(read(path, shown))
        elif suffix == ".json" and (annotations := read_coco(path)) is not None:
            self.found.outlines.append(annotations)
        elif suffix in _NO_SCANS or (header := read_header(path)) is None:
            self.passed["no scans"] += 1
        else:
            with naming_its_header(path):
                self._add_dicom(path, header)

    def _add_dicom(self, path: Path, header: Dataset) -> None:
        if header.get("Modality") in _SEGMENTATIONS:
            self.found.segmentations.append((path, header))
        elif "Rows" not in header or "BitsAllocated" not in header:
            self.passed[f"DICOM without pixels ({header.get('Modality') or 'no modality'})"] += 1
        elif "LOCALIZER" in (header.get("ImageType") or ()):
            self.passed["localizers of DICOM studies"] += 1
        else:
            # Files that name no series go by their folder.
            series = str(header.get("SeriesInstanceUID") or "") or f"in {path.parent}"
            key = (str(header.get("PatientID") or ""), str(header.get("StudyInstanceUID") or ""), series)
            self.series[key] += frames_of(path, header)
