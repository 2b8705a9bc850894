"""A download as it came: a folder or a zip, zips inside read as if they were folders; its images, masks and tables.

Names inside are relative, with /, the same for a folder and for its zip. Nothing is ever unpacked under a name that a
zip chose, so a zip cannot write outside of anywhere.
"""

import hashlib
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from medsam_exp.curation.prepare.output import SourceFacts
from medsam_exp.data.decoding import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.runtime.digests import crc32_of
from medsam_exp.runtime.limits import GIB, limits, refuse_beyond
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Mask, RGBImage, UserError

_LARGEST_FILE = 1 << 30  # bytes of one file inside a zip, unpacked
_CHUNK = 1 << 20
_DEEPEST = 3  # zips in zips
_DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Entry:
    """A file on disk, or a member of an open zip."""

    path: Path
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None

    def size(self) -> int:
        return self.path.stat().st_size if self.member is None else self.member.file_size

    def checksum(self) -> int:
        """CRC-32, which zips already know of their members."""
        return crc32_of(self.path) if self.member is None else self.member.CRC


class Source:
    """Files of a download by their names; use `open_source`.

    Attributes:
        shown: what the user called it.
        names: of all files, in alphabetical order.
    """

    def __init__(self, shown: Path, entries: Mapping[str, _Entry]) -> None:
        self.shown = shown
        self._entries = dict(sorted(entries.items()))
        self.names = tuple(self._entries)

    def read(self, name: str) -> bytes:
        """All bytes of a file.

        Raises:
            UserError: it is damaged.
        """
        entry = self._entries[name]
        try:
            if entry.archive is None or entry.member is None:
                return entry.path.read_bytes()
            return entry.archive.read(entry.member)
        except _DAMAGE as error:
            raise UserError(f"{self.shown}: {name} cannot be read ({error}): download it again") from error

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give a file as a path, for libraries that need one; a zip's member is unpacked to a temporary file.

        Raises:
            UserError: as `read`; errors of the block name the file as it is called in the download.
        """
        entry = self._entries[name]
        if entry.member is None:
            yield entry.path
            return
        with tempfile.TemporaryDirectory(prefix="prepare_") as folder:
            path = Path(folder) / f"file{PurePosixPath(name).suffix.lower()}"
            path.write_bytes(self.read(name))
            try:
                yield path
            except UserError as error:
                raise UserError(str(error).replace(str(path), f"{self.shown}: {name}")) from error

    def facts(self, names: Iterable[str] | None = None) -> SourceFacts:
        """Size and digest of some files, or of all."""
        chosen = sorted(self.names if names is None else set(names))
        hasher, total = hashlib.sha256(), 0
        for name in chosen:
            entry = self._entries[name]
            size = entry.size()
            total += size
            hasher.update(f"{name}\0{size}\0{entry.checksum():08x}\n".encode())
        return SourceFacts(len(chosen), total, hasher.hexdigest())

    def image(self, name: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of an image file.

        Raises:
            UserError: it cannot be read.
        """
        with self.file(name) as path:
            return read_image(path)

    def mask(self, names: Sequence[str]) -> Mask:
        """(H, W) bool, the union of mask files.

        Raises:
            UserError: one cannot be read, or their sizes differ.
        """
        masks = []
        for name in names:
            with self.file(name) as path:
                masks.append(read_mask(path)[0])
        if len({mask.shape for mask in masks}) > 1:
            raise UserError(f"{self.shown}: {', '.join(names)} have different sizes: mend one of them")
        union: Mask = np.logical_or.reduce(masks)
        return union

    def pair(self, image: str, masks: Sequence[str]) -> tuple[RGBImage, Mask]:
        """An image and the union of its masks, as `image` and `mask` read them."""
        return self.image(image), self.mask(masks)

    def text(self, name: str) -> str:
        """A text file in UTF-8, with or without a byte-order mark; other bytes become U+FFFD."""
        return self.read(name).decode("utf-8-sig", errors="replace")

    def matches(self, pattern: str) -> dict[str, re.Match[str]]:
        """Files whose whole name, or what follows a folder in it, looks like a pattern; upper or lower case.

        A download may lie some folders deeper than its publishers show it.
        """
        compiled = re.compile(rf"(?:.*/)?{pattern}", re.IGNORECASE)
        return {name: match for name in self.names if (match := compiled.fullmatch(name))}

    def missing(self, expected: str) -> UserError:
        """The error where a part of the download is missing."""
        return UserError(
            f"{self.shown} has no {expected} (it has {first_few(self.names, 3)}): give what was downloaded, as it came"
        )


@contextmanager
def open_source(path: Path, wanted_zips: Callable[[str], bool] | None = None) -> Iterator[Source]:
    """Open a folder, or a zip as it was downloaded.

    Args:
        path: the folder or zip.
        wanted_zips: which of the zips inside are to be looked into, by name; None for all.

    Raises:
        UserError: it is missing, empty, no zip, damaged, or locked with a password.
    """
    path, wanted = path.expanduser(), wanted_zips or (lambda _: True)
    with ExitStack() as stack:
        if not path.exists():
            raise UserError(f"{path} does not exist: give the folder or the zip that was downloaded")
        entries = _entries(path, path, "", wanted, _Opened(stack), depth=-1 if path.is_dir() else 0)
        if not entries:
            raise UserError(f"{path} holds no files: download it again")
        yield Source(path, entries)


@dataclass
class _Opened:
    """What stays open as long as a source: archives and files that were unpacked, and the bytes of these."""

    stack: ExitStack
    unpacked: int = 0


def _entries(
    shown: Path, path: Path, prefix: str, wanted: Callable[[str], bool], opened: _Opened, depth: int
) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for inside, entry in _of_folder(path) if path.is_dir() else _of_zip(shown, path, opened):
        name = prefix + inside
        if name in found:
            raise UserError(f"{shown} holds {inside} twice: download it again")
        if name.lower().endswith(".zip") and wanted(name) and depth < _DEEPEST:
            inner = Path(f"{shown}/{name}")
            archive = _unpacked(shown, entry, opened)
            found |= _entries(inner, archive, name[: -len(".zip")] + "/", wanted, opened, depth + 1)
        else:
            found[name] = entry
    return found


def _of_folder(root: Path) -> Iterator[tuple[str, _Entry]]:
    within = root.resolve()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(within):
            raise UserError(
                f"{path} is a link that leads out of {root}: put the file itself there, or remove it"
            )
        if path.is_file() and not _is_clutter(name):
            yield name, _Entry(path)


def _of_zip(shown: Path, path: Path, opened: _Opened) -> Iterator[tuple[str, _Entry]]:
    try:
        archive = opened.stack.enter_context(zipfile.ZipFile(path))
    except (*_DAMAGE, ValueError) as error:
        raise UserError(f"{shown} cannot be read as a zip ({error}): download it again") from error
    for member in archive.infolist():
        if not member.is_dir() and not _is_clutter(member.filename):
            yield _safe(shown, member), _Entry(path, archive, member)


def _safe(shown: Path, member: zipfile.ZipInfo) -> str:
    """A member's name, with one spelling for every system."""
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
        raise UserError(
            f"{shown} holds a file named {member.filename!r}, which points outside: do not trust it"
        )
    if member.flag_bits & 1:
        raise UserError(f"{shown}: {name} is locked with a password: unpack the zip first")
    too_large = member.file_size > _LARGEST_FILE and not name.lower().endswith(".zip")
    if too_large or limits().is_bomb(member.compress_size, member.file_size):
        raise UserError(
            f"{shown}: {name} would have {member.file_size} bytes unpacked, which "
            "is too many: do not trust it, or unpack it yourself"
        )
    return PurePosixPath(name).as_posix()


def _unpacked(shown: Path, entry: _Entry, opened: _Opened) -> Path:
    """A zip on disk; one inside another zip goes to a file that is deleted when the source is closed."""
    if entry.archive is None or entry.member is None:
        return entry.path
    opened.unpacked += entry.member.file_size
    refuse_beyond(
        f"{shown}: what is packed in it", opened.unpacked, "unpacked_gib", GIB, "unpack it yourself first"
    )
    file = opened.stack.enter_context(tempfile.NamedTemporaryFile(suffix=".zip"))  # noqa: SIM115  # open until the source is closed
    try:
        with entry.archive.open(entry.member) as inner:
            shutil.copyfileobj(inner, file, _CHUNK)
    except _DAMAGE as error:
        raise UserError(
            f"{shown}: {entry.member.filename} cannot be read ({error}): download it again"
        ) from error
    file.flush()
    return Path(file.name)


def _is_clutter(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or any(part.startswith(".") and part not in ("..", ".") for part in parts)
