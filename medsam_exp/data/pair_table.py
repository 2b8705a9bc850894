"""A CSV file of captions as a table of images: rows cleaned and gathered by image, files located and decoded."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from medsam_exp.data.captions import clean_caption
from medsam_exp.data.decoding import IMAGE_SUFFIXES, read_image
from medsam_exp.data.pixels import pixel_digest
from medsam_exp.data.tables import faulty_rows, is_missing, read_columns, value_of
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Located:
    """The files that a table names.

    Attributes:
        ids: path relative to `base`, with /, by the name in the table; one file has one id, however it is spelt.
        base: folder that holds all the files.
        dropped: leading folders of the table's names that `base` does without, such as "data/scans"; else empty.
    """

    ids: dict[str, str]
    base: Path
    dropped: str


def locate_images(names: Iterable[str], root: Path) -> Located:
    """Find the files of a table's image names.

    Names are relative to `root`, or absolute. If no such file exists, the names were written from another folder or
    on another machine: the leading folders that all of them share are then dropped, one by one, until
    a file is found below `root`. If a file is outside of `root`, ids are relative to the deepest folder
    that holds all of them. A name without an image's ending means the only image of that name with any ending.

    Args:
        names: as the table gives them.
        root: folder that relative names start from.
    """
    base = os.path.abspath(root.expanduser())  # noqa: PTH100  # resolve() would follow links out of root
    tails = {name: PurePosixPath(posixpath.normpath(name.replace("\\", "/"))) for name in names}
    levels = zip(*(tail.parts[:-1] for tail in tails.values()), strict=False)
    folders = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    for count in range(len(folders) + 1):
        paths = {
            name: _as_on_disk(os.path.normpath(os.path.join(base, *tail.parts[count:])))  # noqa: PTH118
            for name, tail in tails.items()
        }
        if any(map(os.path.exists, paths.values())):
            break
    else:
        count, paths = 0, {name: os.path.normpath(base / tail) for name, tail in tails.items()}
    _images_in.cache_clear()  # a later table may name other files
    if not all(path.startswith(base.rstrip(os.sep) + os.sep) for path in paths.values()):
        base = os.path.commonpath([os.path.dirname(path) for path in paths.values()])  # noqa: PTH120
    ids = {name: Path(path).relative_to(base).as_posix() for name, path in paths.items()}
    return Located(ids, Path(base), PurePosixPath(*folders[:count]).as_posix() if count else "")


def _as_on_disk(path: str) -> str:
    """A file's path with its accents composed or apart, and with its ending, whichever is there."""
    spellings = [_with_ending(each) for each in (path, normalize("NFC", path), normalize("NFD", path))]
    return next(filter(os.path.exists, spellings), path)


def _with_ending(path: str) -> str:
    """The image that a path without an ending means; the path itself where there is none, or more than one."""
    folder, name = os.path.split(path)
    if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
        return path
    found = _images_in(folder).get(name, [])
    return os.path.join(folder, found[0]) if len(found) == 1 else path  # noqa: PTH118


@cache
def _images_in(folder: str) -> dict[str, list[str]]:
    """Image files of a folder by stem; none where there is no such folder."""
    images: dict[str, list[str]] = {}
    for path in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else ():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(path.stem, []).append(path.name)
    return images


def look_at_images(paths: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Decode every image, several at a time.

    Within a process a file is decoded once, and again when its size or time changed.

    Args:
        paths: files by image id.

    Returns:
        By id the digest of each image's decoded pixels, and a sentence about each image that cannot be read.
    """
    pixels, faults = {}, {}
    for image_id, (fault, digest) in zip(paths, map_in_threads(_decoded, paths.values()), strict=True):
        if fault is None:
            pixels[image_id] = digest
        else:
            faults[image_id] = fault
    return pixels, faults


def _decoded(path: Path) -> tuple[str | None, str]:
    """What is wrong with an image, if so; and the digest of its pixels."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name with a NUL character
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return f"{path} does not exist: check the path", ""
        several = ", ".join(_images_in(str(path.parent)).get(path.name, []))
        there = (
            f"several files have that name ({several})"
            if several
            else "no image has that name with any ending"
        )
        return f"{path} does not exist, and {there}: check the path", ""
    return _decoded_once(path, status.st_size, status.st_mtime_ns)


@cache
def _decoded_once(path: Path, size: int, time: int) -> tuple[str | None, str]:
    del size, time  # they decide only whether the answer is still known
    try:
        return None, pixel_digest(read_image(path))
    except UserError as error:
        return str(error), ""


Row = tuple[str, str, str]
"""Image, caption and group ("" for none), as the file names them."""


@dataclass
class CaptionedImage:
    """Cleaned captions of one image, and the group that it belongs to ("" for none)."""

    captions: set[str] = field(default_factory=set)
    group: str = ""


@dataclass(frozen=True)
class PairTable:
    """All pairs of a file.

    Attributes:
        images: by id.
        base: folder that ids are relative to.
        notes: what reading and cleaning did, one sentence each; includes what was skipped.
        skipped: of them, the sentences about faulty rows.
    """

    images: dict[str, CaptionedImage]
    base: Path
    notes: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def read_pair_table(
    file: Path,
    image_column: str,
    caption_column: str,
    *,
    root: Path | None = None,
    group_column: str | None = None,
    separator: str | None = None,
    smallest_caption: int = 0,
    skip_faulty: bool = False,
) -> PairTable:
    """Read, clean and gather the rows of a file; `CsvPairs` explains the arguments.

    Raises:
        UserError: the file, its columns or its rows are faulty, an image has two groups, or no row is left.
    """
    columns = [image_column, caption_column, *([group_column] if group_column is not None else [])]
    rows, faults, there = _sound_rows(file, columns, separator)
    if faults and not skip_faulty:
        said = faulty_rows(faults, len(rows) + len(faults))
        raise UserError(f"{file}: {said}, or leave these rows out with on_error=skip")
    skipped = tuple(f"skipped: {file.name}, {fault}" for fault in faults)
    root = file.parent if root is None else root
    if not root.is_dir():
        raise UserError(f"pairs' root {root} is not a folder: set it to the folder that the paths start from")
    cleaned, changed, counts = _cleaned(rows, file, smallest_caption)
    located = locate_images({row[0] for row in cleaned}, root)
    images, repeated = _gathered(cleaned, located.ids)
    notes = [
        f"{file.name}: {len(rows) + len(skipped)} rows read, {changed} captions changed by cleaning; "
        f"dropped: {counts['empty']} empty captions, {counts['short']} captions of fewer than "
        f"{smallest_caption} characters (smallest_caption), {repeated} repeated rows",
        *skipped,
    ]
    if stand_ins := [
        f"{column} for {asked}" for asked, column in zip(columns, there, strict=True) if column != asked
    ]:
        notes.append(f"columns that stand in for those of the configuration: {', '.join(stand_ins)}")
    if located.dropped:
        notes.append(f"image paths begin with {located.dropped}, which is not below root: found without it")
    alone = sum(not image.group for image in images.values())
    if group_column is not None and alone:
        notes.append(f"{alone} images have no {group_column}: each counts as a group of its own")
    return PairTable(images, located.base, tuple(notes), skipped)


def _sound_rows(
    file: Path, columns: list[str], separator: str | None
) -> tuple[list[Row], list[str], list[str]]:
    """Rows that name an image; a sentence about each other row; names of the columns found."""
    found, faults, there = read_columns(file, columns, separator)
    rows = []
    for line, (image, caption, *group) in found:
        if image.strip():
            rows.append((image.strip(), caption, value_of(group[0]) if group else ""))
        else:
            faults.append(f"line {line} has no {columns[0]}")
    return rows, faults, there


def _cleaned(rows: list[Row], file: Path, smallest: int) -> tuple[list[Row], int, Counter[str]]:
    """Rows with clean captions; how many captions changed; how many were dropped as empty or short."""
    cleaned, changed, dropped = [], 0, Counter[str]()
    for image, caption, group in rows:
        clean = "" if is_missing(caption) else clean_caption(caption)
        changed += clean != caption
        if clean and len(clean) >= smallest:
            cleaned.append((image, clean, group))
        else:
            dropped["short" if clean else "empty"] += 1
    if not cleaned:
        raise UserError(
            f"{file} has no usable row ({len(rows)} read, {dropped['empty']} without a caption, "
            f"{dropped['short']} with fewer than {smallest} characters): "
            "check caption_column, or lower smallest_caption"
        )
    return cleaned, changed, dropped


def _gathered(rows: list[Row], ids: dict[str, str]) -> tuple[dict[str, CaptionedImage], int]:
    """Images by id, and how many rows said the same as another."""
    images: dict[str, CaptionedImage] = {}
    for name, caption, group in rows:
        image = images.setdefault(ids[name], CaptionedImage())
        image.captions.add(caption)
        if group and image.group and image.group != group:
            raise UserError(
                f"the image {name} belongs to two groups, {image.group!r} and {group!r}: give it one"
            )
        image.group = image.group or group
    return images, len(rows) - sum(len(image.captions) for image in images.values())
