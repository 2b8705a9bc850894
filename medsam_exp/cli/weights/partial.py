"""A file that is not complete yet: `NAME.part` beside its place, moved there once its checksum is verified."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from medsam_exp.cli.weights.catalogue import PublishedFile
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20


class WrongContentError(Exception):
    """What came is not the published file; the sentence says how it differs."""


class PartialFile:
    """What is there of a file, and what it was fetched from.

    Args:
        target: where the complete file will lie.
        wanted: what it must be.

    Attributes:
        path: of the part.
        continued: whether the first bytes were there before the present source was asked.
    """

    def __init__(self, target: Path, wanted: PublishedFile) -> None:
        self.target, self.wanted = target, wanted
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.continued = self.size > 0

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def origin(self) -> dict[str, Any]:
        """Where the bytes so far came from: `source` and `validator`; empty where it was not recorded."""
        try:
            content = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def remember(self, source: str, validator: str | None) -> None:
        """Record where the bytes come from, so that another process can go on."""
        with self.explaining_full_disk():
            write_atomically(self._note, json_text({"source": source, "validator": validator}).encode())

    def make_room(self, total: int | None) -> None:
        """Check before writing whether the disk can take the complete file.

        Raises:
            UserError: it cannot.
        """
        missing = (total or self.wanted.bytes) - self.size
        if missing > shutil.disk_usage(self.target.parent).free:
            raise self._no_room(missing)

    def append(self, data: bytes) -> None:
        """Add bytes to the end.

        Raises:
            UserError: the disk is full; what was written before stays, to go on with.
        """
        with self.explaining_full_disk(len(data)), self.path.open("ab") as file:
            file.write(data)

    def restart(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.continued = False

    def finish(self) -> Path:
        """Verify, and put the file in its place; a reader sees all of it or nothing.

        Raises:
            WrongContentError: it is not the published file, and has been deleted.
        """
        if problem := self._problem():
            self.restart()
            raise WrongContentError(problem)
        with self.path.open("ab") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._note.unlink(missing_ok=True)
        return self.target

    def _problem(self) -> str:
        if self.wanted.size is not None and self.size != self.wanted.size:
            return f"has {self.size} bytes instead of {self.wanted.size}"
        if self.size == 0:
            return "is empty"
        for kind, expected in (("sha256", self.wanted.sha256), ("md5", self.wanted.md5)):
            if expected is not None and (found := self._checksum(kind)) != expected:
                return f"has the {kind.upper()} {found} instead of {expected}"
        return ""

    def _checksum(self, kind: str) -> str:
        hasher = hashlib.new(kind, usedforsecurity=False)
        with self.path.open("rb") as file:
            while data := file.read(_CHUNK):
                hasher.update(data)
        return hasher.hexdigest()

    @contextmanager
    def explaining_full_disk(self, more: int = 0) -> Iterator[None]:
        """Report a full disk inside the block in one sentence, and remove bytes of an interrupted write.

        Args:
            more: bytes that are being added to the end.

        Raises:
            UserError: the disk is full.
        """
        before = self.size
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if more and self.path.is_file():
                os.truncate(self.path, before)
            raise self._no_room(max(self.wanted.bytes - before, more)) from error

    def _no_room(self, missing: int) -> UserError:
        free = shutil.disk_usage(self.target.parent).free
        kept = f"; {decimal(self.size)} of it are there already and are kept" if self.size else ""
        return UserError(
            f"the disk of {self.target.parent} is full: {self.target.name} needs {decimal(missing)} more and "
            f"{decimal(free)} are free{kept}; make room, or put the folder of weights elsewhere (paths.weights, "
            "MEDSAM_WEIGHTS), and give the same command again."
        )
