"""Whether the packed voxels of a volume's file are whole, since readers stop early or go on over damage."""

import re
import zlib
from pathlib import Path

from medsam_exp.types import UserError

_NIFTI_STARTS = {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}  # sizes of headers
_LONGEST_HEADER = 1 << 16
_GZIP = b"\x1f\x8b"
_EITHER = zlib.MAX_WBITS | 32  # zlib's own format or gzip


def check_nifti_name(path: Path) -> None:
    """Refuse a NIfTI file whose name and bytes disagree on whether it is compressed.

    Raises:
        UserError: says what to rename it to.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(4)
    named = path.name.lower().endswith(".gz")
    if named and start in _NIFTI_STARTS:
        raise UserError(f"{path} is not compressed, whatever its name says: rename it to {path.name[:-3]}")
    if start.startswith(_GZIP) and not named:
        raise UserError(f"{path} is compressed, whatever its name says: rename it to {path.name}.gz")


def check_packed(path: Path) -> None:
    """Unpack the voxels of a MetaImage or NRRD file once, and compare their checksum, which SimpleITK does not.

    Files without packed voxels, or with another packing than zlib's, are not looked into.

    Raises:
        UserError: the voxels are cut short or damaged.
    """
    content = path.read_bytes() if path.is_file() else b""
    packed = _of_nrrd(content) if content.startswith(b"NRRD") else _of_meta_image(path, content)
    if packed is None:
        return
    unpacking = zlib.decompressobj(_EITHER)
    try:
        while packed and not unpacking.eof:
            unpacking.decompress(packed, 1 << 24)
            packed = unpacking.unconsumed_tail
    except zlib.error as error:
        raise UserError(f"{path} is cut short or damaged ({error}): copy it again") from error
    if not unpacking.eof:
        raise UserError(f"{path} is cut short or damaged (its packed voxels have no end): copy it again")


def _of_nrrd(content: bytes) -> bytes | None:
    end = re.search(rb"\r?\n\r?\n", content[:_LONGEST_HEADER])
    if end is None:
        return None
    header = content[: end.start()].lower()
    inside = re.search(rb"^data ?file:", header, re.MULTILINE) is None
    skips = re.search(rb"^(line|byte) ?skip:", header, re.MULTILINE)  # what is skipped is not packed
    packed = re.search(rb"^encoding: *(gzip|gz)\s*$", header, re.MULTILINE)
    return content[end.end() :] if inside and packed and not skips else None


def _of_meta_image(path: Path, content: bytes) -> bytes | None:
    last = re.search(
        rb"^ElementDataFile *= *(.*?)\r?\n", content[:_LONGEST_HEADER], re.MULTILINE | re.IGNORECASE
    )
    if last is None or not re.search(
        rb"^CompressedData *= *True", content[: last.start()], re.MULTILINE | re.IGNORECASE
    ):
        return None
    if last[1].upper() == b"LOCAL":
        return content[last.end() :]
    other = path.parent / last[1].decode(errors="replace").strip()
    return other.read_bytes() if other.parent == path.parent and other.is_file() else None
