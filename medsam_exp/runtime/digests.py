"""Content hashes of files, remembered by path, size and modification time."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.temporary_files import filled_beside

_AT_ONCE = 2**20
"""Bytes of a file in memory."""


def text_digest(*parts: str) -> str:
    """SHA-256 (hex) of strings; the boundaries between the parts count."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.hexdigest()


def write_atomically(path: Path, data: bytes | memoryview, *, durable: bool = True) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a kill.

    Args:
        path: of the file.
        data: its bytes.
        durable: also after a power cut, which takes milliseconds; for what the same command would not write again.
    """
    with filled_beside(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def crc32_of(path: Path) -> int:
    """CRC-32 of the bytes of a file, as zips have it; tells damage, not intent."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            found = zlib.crc32(part, found)
    return found


class ChangedFileError(UserError):
    """A file is another one than a run has planned with; what was computed before is stored and stays right."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """The sentence about a file."""
        return cls(f"{path} was changed while the run was at work; run the same command again")


class FileDigests:
    """SHA-256 of files; a file is read again only when its size or time changed.

    Args:
        cache_file: where to remember the hashes between runs; None remembers within this object only.
    """

    def __init__(self, cache_file: Path | None = None) -> None:
        self._cache_file = cache_file
        self._known: dict[str, list[int | str]] = {}
        self._changed = False
        if cache_file is not None and cache_file.is_file():
            self._known = unsealed(cache_file) or {}

    def remembers(self, path: Path) -> bool:
        """Whether the hash of `path` is known without reading it."""
        return self._look(path)[2] is not None

    def of(self, path: Path) -> str:
        """SHA-256 (hex) of the bytes of `path`."""
        resolved, seen, known = self._look(path)
        if known is not None:
            return known
        with open(resolved, "rb") as file:  # noqa: PTH123  # of hundreds of thousands
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._known[resolved] = [*seen, digest]
        self._changed = True
        return digest

    def _look(self, path: Path) -> tuple[str, list[int], str | None]:
        """The file behind links, its size and time, and its hash if that is known."""
        resolved = os.path.realpath(path)
        status = os.stat(resolved)  # noqa: PTH116
        seen = [status.st_size, status.st_mtime_ns]
        known = self._known.get(resolved)
        return resolved, seen, str(known[2]) if known is not None and known[:2] == seen else None

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Know of no file any more after a block in which one was other than it seemed by its size and time."""
        try:
            yield
        except ChangedFileError:
            self._known.clear()
            self._changed = True
            self.save()
            raise

    def save(self) -> None:
        """Write what was learnt to the cache file, if there is one; files that are gone are forgotten."""
        if self._cache_file is not None and self._changed:
            self._known = {path: known for path, known in self._known.items() if os.path.lexists(path)}
            write_atomically(self._cache_file, sealed(self._known), durable=False)
            self._changed = False


def sealed(content: Any) -> bytes:
    """The bytes of a file that remembers what can be learnt anew: a checksum, and after it JSON."""
    body = json_text(content).encode()
    return b"%08x\n" % zlib.crc32(body) + body


def unsealed(path: Path) -> Any:
    """What such a file holds; None where it is not there, or not as it was written."""
    with suppress(OSError, ValueError, RecursionError):
        checksum, _, body = path.read_bytes().partition(b"\n")
        if int(checksum, 16) == zlib.crc32(body):
            return json.loads(body)
    return None
