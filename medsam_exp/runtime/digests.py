"""Content hashes of files, remembered by path, size and modification time."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.json_text import json_text


def text_digest(*parts: str) -> str:
    """SHA-256 (hex) of strings; the boundaries between the parts count."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a kill."""
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Give an empty file to fill within a block; it takes the place of `path` at the end, or vanishes at an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem[:40]}{path.suffix[:20]}."  # of a name that may be as long as names get
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
            try:
                self._known = json.loads(cache_file.read_text())
            except json.JSONDecodeError:
                self._known = {}

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
            write_atomically(self._cache_file, json_text(self._known).encode())
            self._changed = False
