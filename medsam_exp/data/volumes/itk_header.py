"""Headers of MetaImage and NRRD files, looked at before SimpleITK takes memory for their voxels.

Such a header may name the files of its voxels. Only files in its own folder are read: else it could make the bytes of
any file of the machine into voxels.
"""

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medsam_exp.runtime.limits import MIB, refuse_beyond
from medsam_exp.types import UserError

_LONGEST_HEADER = 1 << 16
_EITHER = zlib.MAX_WBITS | 32  # zlib's own format or gzip
_BEST_COMPRESSION = 1032  # of deflate: more bytes than this cannot come out of one
_ITSELF = "LOCAL"
_LIST = re.compile(r"LIST(\s+\d+)?", re.IGNORECASE)
_NUMBERED = re.compile(r"([^%]*%0?\d*d[^%]*?)\s+-?\d+\s+-?\d+\s+-?\d+(\s+\d+)?")
"""A pattern of names with the first number, the last, and the step."""


_RAW = re.compile(rb"^(encoding: *raw|CompressedData *= *False)\s*$", re.MULTILINE | re.IGNORECASE)


_MET_AXES = re.compile(rb"^[ \t]*NDims[ \t]*[=:][ \t]*(.*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_AXES = {b"1", b"2", b"3", b"4"}
"""Of more axes MetaImage's own reader writes beyond its memory."""


def check_header(path: Path) -> None:
    """Check what a MetaImage or NRRD header says of its voxels' files, and the checksum of packed voxels inside it.

    Raises:
        UserError: it names files outside of its folder, or its voxels are damaged.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    if not start.startswith(b"NRRD") and any(
        said[1] not in _AXES for said in _MET_AXES.finditer(start.replace(b"\r", b"\n"))
    ):
        raise UserError(f"{path} says no number of axes from 1 to 4 (NDims): copy it again")
    for name in _named_files(start):
        _refuse_outside(path, name)
    _check_packed(path, start)


def itk_header(path: Path) -> Any:
    """SimpleITK's reader of a file whose header it has read; `Execute` reads the voxels.

    Raises:
        RuntimeError: SimpleITK cannot read it.
        UserError: it says more voxels than its bytes can hold, or than the limit.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    shape = tuple(map(int, reader.GetSize()))
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())  # such as "vector of 16-bit signed integer"
    depth = next((count for name, count in _DEPTHS.items() if name in kind), 1)
    size = math.prod(shape) * reader.GetNumberOfComponents() * depth
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    names = list(_named_files(start))
    if not any(_NUMBERED.fullmatch(name) for name in names):
        files = {path, *(path.parent / name for name in names)}
        there = sum(each.stat().st_size for each in files if each.is_file())
        refuse_impossible(path, shape, size, not _RAW.search(start), there)
    return reader


_DEPTHS = {"64-bit": 8, "32-bit": 4, "16-bit": 2, "8-bit": 1}
"""Bytes of a voxel by a part of SimpleITK's words for it."""


def refuse_impossible(path: Path, shape: tuple[int, ...], size: int, packed: bool, there: int) -> None:
    """Refuse a header that promises more voxels than its bytes can hold, or than the limit allows.

    Args:
        path: the file.
        shape: voxels along each axis.
        size: bytes of all voxels as they are stored.
        packed: whether they may be packed by deflate.
        there: bytes on disk.

    Raises:
        UserError: they are too many.
    """
    if size > there * (_BEST_COMPRESSION if packed else 1):
        sizes = " x ".join(map(str, shape))
        raise UserError(f"{path} says {sizes} voxels, more than its bytes can hold: copy it again")
    refuse_beyond(path, math.prod(shape) * 4, "volume_mib", MIB, "cut or resample it")


def _named_files(start: bytes) -> Iterator[str]:
    """What a header says where its voxels are, other than in the file itself."""
    end = re.search(rb"\r?\n\r?\n", start) if start.startswith(b"NRRD") else None
    text = start[: end.start() if end else None].decode("latin-1").replace("\r", "\n")
    key = r"data ?file:" if start.startswith(b"NRRD") else r"ElementDataFile[ \t]*[=:]"
    for found in re.finditer(rf"^[ \t]*{key}[ \t]*(.*?)[ \t]*$", text, re.MULTILINE | re.IGNORECASE):
        name = found[1].strip()
        if _LIST.fullmatch(name):
            yield from (line.strip() for line in text[found.end() :].splitlines() if line.strip())
        elif name.upper() != _ITSELF:
            yield name


def _refuse_outside(path: Path, name: str) -> None:
    numbered = _NUMBERED.fullmatch(name)
    plain = (numbered[1] if numbered else name).removeprefix("./")
    place = path.parent / plain
    inside = plain and not {"/", "\\", "\0"} & set(plain) and plain != ".." and ("%" not in plain or numbered)
    if not inside or (place.is_symlink() and place.resolve().parent != path.parent.resolve()):
        raise UserError(
            f"{path} takes its voxels from {name!r:.100}, which is no file beside it: put the file there, and its "
            "plain name into the header"
        )


def _check_packed(path: Path, start: bytes) -> None:
    """Unpack the voxels once, and compare their checksum, which SimpleITK does not.

    Files without packed voxels, or with another packing than zlib's, are not looked into.
    """
    place = _of_nrrd(path, start) if start.startswith(b"NRRD") else _of_meta_image(path, start)
    if place is None or not place[0].is_file():
        return
    unpacking = zlib.decompressobj(_EITHER)
    try:
        with place[0].open("rb") as file:
            file.seek(place[1])
            while not unpacking.eof and (packed := unpacking.unconsumed_tail or file.read(1 << 24)):
                unpacking.decompress(packed, 1 << 24)
    except zlib.error as error:
        raise UserError(f"{path} is cut short or damaged ({error}): copy it again") from error
    if not unpacking.eof:
        raise UserError(f"{path} is cut short or damaged (its packed voxels have no end): copy it again")


def _of_nrrd(path: Path, start: bytes) -> tuple[Path, int] | None:
    """The file, and where its packed voxels begin; None where they are elsewhere or not packed."""
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None:
        return None
    header = start[: end.start()].lower()
    inside = re.search(rb"^data ?file:", header, re.MULTILINE) is None
    skips = re.search(rb"^(line|byte) ?skip:", header, re.MULTILINE)  # what is skipped is not packed
    packed = re.search(rb"^encoding: *(gzip|gz)\s*$", header, re.MULTILINE)
    return (path, end.end()) if inside and packed and not skips else None


def _of_meta_image(path: Path, start: bytes) -> tuple[Path, int] | None:
    """The file that holds packed voxels, and where they begin in it."""
    last = re.search(rb"^ElementDataFile *= *(.*?)\r?\n", start, re.MULTILINE | re.IGNORECASE)
    if last is None or not re.search(
        rb"^CompressedData *= *True", start[: last.start()], re.MULTILINE | re.IGNORECASE
    ):
        return None
    if last[1].upper() == b"LOCAL":
        return path, last.end()
    return path.parent / last[1].decode(errors="replace").strip(), 0
