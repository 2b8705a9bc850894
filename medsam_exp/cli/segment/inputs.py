"""What is to be segmented: pictures and slices of volumes, brought together as one flat folder of images."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

import numpy as np
from PIL import Image

from medsam_exp.data.decoding import DICOM_SUFFIX, PICTURE_SUFFIXES
from medsam_exp.data.volumes.find import find_scans, is_mask_name
from medsam_exp.data.volumes.grid import Plane
from medsam_exp.data.volumes.scan import GEOMETRY, Scan, ScanRecord, read_record, write_record
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.temporary_files import filled_beside
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

_BETWEEN_FILES = 2  # axis of a volume from file to file of its series


@dataclass
class Inputs:
    """What a command is to segment.

    Attributes:
        pictures: by name of the image; the name is the file's stem, where no other file has it.
        volumes: whose slices are images, too.
        slices: files of these, by name of the image.
        sources: what each image was made from, as the user knows it.
        faults: why something cannot be read, one sentence each.
        notes: what was passed over, one sentence each.
    """

    pictures: dict[str, Path] = field(default_factory=dict)
    volumes: list[ScanRecord] = field(default_factory=list)
    slices: dict[str, Path] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, Path]:
        """All images by name."""
        return {**self.pictures, **self.slices}


def gather(
    paths: Sequence[Path], store: Path, plane: Plane, window_level: WindowLevel, *, recursive: bool
) -> Inputs:
    """Find all images and volumes; slices of volumes are written to the store, unless they are there.

    A picture, or a DICOM file with one image, is read as it is. Files and folders with the name of a mask are passed
    over.

    Args:
        paths: files and folders.
        store: folder for slices.
        plane: in which volumes are cut.
        window_level: how a volume's numbers become gray.
        recursive: whether folders in folders are searched.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    inputs = Inputs()
    pictures: list[tuple[Path, str]] = []
    volumes: list[tuple[Scan, Path]] = []
    for path in paths:
        files, masks = _files(path, recursive=recursive)
        root = path if path.is_dir() else path.parent
        pictures += [(file, _shown(file, root)) for file in files if _is_picture(file)]
        if masks:
            said = f"{len(masks)} files of {path} passed over, as their names are those of masks"
            inputs.notes.append(f"{said} (first: {masks[0].name})")
        if any(not _is_picture(file) for file in files):
            found = find_scans(path, pictures=False, recursive=recursive)
            inputs.faults += found.faults
            inputs.notes += found.notes
            for scan in found.scans:
                file = scan.facts.files[0]
                if is_one_image(scan):
                    pictures.append((file, _shown(file, root)))
                else:
                    volumes.append((scan, root))
    names = _unique([shown for _, shown in pictures] + [_volume_name(*volume) for volume in volumes])
    for (file, shown), name in zip(pictures, names, strict=False):
        inputs.pictures[name], inputs.sources[name] = file, shown
    for (scan, root), name in zip(volumes, names[len(pictures) :], strict=True):
        try:
            record, slices = _sliced(scan, name, store, plane, window_level)
        except UserError as error:
            inputs.faults.append(str(error))
            continue
        inputs.volumes.append(record)
        inputs.slices |= slices
        inputs.sources |= _sources(scan, record, root)
        inputs.notes += scan.facts.notes
    if not inputs.files:
        given, why = ", ".join(map(str, paths)), first_few(inputs.faults, separator="; ")
        formats = "PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI, MHA, NRRD"
        raise UserError(
            f"{given}: no image can be read: {why}"
            if why
            else f"{given}: no image was found ({formats}): check the path"
        )
    return inputs


def is_one_image(scan: Scan) -> bool:
    """Whether a scan is a DICOM file with one image, which is read as a picture is."""
    facts = scan.facts
    is_image = facts.kind == "dicom" and len(facts.files) == facts.shape[2] == 1
    return is_image and facts.files[0].suffix.lower() == DICOM_SUFFIX


def linked(inputs: Inputs, store: Path) -> Path:
    """A flat folder with a link to every image, as `data=folder` reads it; equal inputs give the same folder."""
    ends = {name: f"{name}{file.suffix.lower()}" for name, file in inputs.files.items()}
    files = {ends[name]: file.resolve() for name, file in inputs.files.items()}
    folder = store / "images" / text_digest(*(f"{name} {file}" for name, file in sorted(files.items())))[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(file)
    return folder


def _files(path: Path, *, recursive: bool) -> tuple[list[Path], list[Path]]:
    """Files that may be images, and files with the name of a mask."""
    if path.is_file():
        return [path], []
    if not path.is_dir():
        raise UserError(f"{path} does not exist: give an image, a volume, or a folder of them")
    inside = sorted(_below(path) if recursive else (entry for entry in path.iterdir() if entry.is_file()))
    visible = [file for file in inside if not file.name.startswith(".")]
    masks = [file for file in visible if _is_picture(file) and is_mask_name(file, path)]
    return [file for file in visible if file not in set(masks)], masks


def _below(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_SUFFIXES


def _shown(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _volume_name(scan: Scan, root: Path) -> str:
    """A volume's path with its own name: the file's, or of a DICOM series the folder's."""
    path = Path(_shown(scan.facts.files[0], root))
    if scan.facts.kind == "dicom":
        return path.parent.as_posix() if path.parent.name else scan.facts.stem or path.stem
    return (path.parent / scan.facts.stem).as_posix()


def _sources(scan: Scan, record: ScanRecord, root: Path) -> dict[str, str]:
    """The file of each slice; of a DICOM series that is cut across its files their folder."""
    files = scan.facts.files
    if len(set(files)) == 1:
        return dict.fromkeys(record.slices, _shown(files[0], root))
    if record.view.axis != _BETWEEN_FILES:
        return dict.fromkeys(record.slices, _volume_name(scan, root))
    return {image: _shown(files[place], root) for image, place in record.slices.items()}


def _unique(shown: Sequence[str]) -> list[str]:
    """A name for each path: its stem; where several have the same, with the folders before it, or a number."""
    wanted = [_stem(path) for path in shown]
    doubled = {name for name in wanted if wanted.count(name) > 1} if len(set(wanted)) < len(wanted) else set()
    whole = [
        "_".join([*Path(path).parent.parts, name]) if name in doubled else name
        for path, name in zip(shown, wanted, strict=True)
    ]
    taken: dict[str, int] = {}
    names = []
    for name in whole:
        taken[name.casefold()] = number = taken.get(name.casefold(), 0) + 1
        names.append(name if number == 1 else f"{name}_{number}")
    return names


def _stem(shown: str) -> str:
    path = Path(shown)
    is_file = path.suffix.lower() in PICTURE_SUFFIXES | {DICOM_SUFFIX}
    return normalize("NFC", path.stem if is_file else path.name)


def _sliced(
    scan: Scan, name: str, store: Path, plane: Plane, window_level: WindowLevel
) -> tuple[ScanRecord, Mapping[str, Path]]:
    """A volume's record and its slices as files, which are written unless they are there."""
    facts = scan.facts
    states = [(str(file.resolve()), file.stat()) for file in facts.files]
    looks = [f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states]
    folder = store / "slices" / text_digest(name, str(plane), window_level.describe(), *looks)[:16]
    if not (folder / GEOMETRY).is_file():
        view = facts.view(plane)
        count = facts.shape[view.axis]
        ids = {f"{name}_{place:04d}": place for place in range(count)} if count > 1 else {name: 0}
        volume = scan.render(window_level)
        folder.mkdir(parents=True, exist_ok=True)
        for image, place in ids.items():
            with filled_beside(folder / f"{image}.png", durable=False) as path:
                Image.fromarray(np.ascontiguousarray(view.take(volume, place))).save(path, format="PNG")
        record = ScanRecord.of(name, facts, view, window_level, ids)
        write_record(folder, [record])
    (record,) = read_record(folder)
    return record, {image: folder / f"{image}.png" for image in record.slices}
