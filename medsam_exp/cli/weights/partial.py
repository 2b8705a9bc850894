"""A file that is not complete yet: `NAME.part` beside its place, moved there once its checksum is verified."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal

from medsam_exp.cli.weights.catalogue import PublishedFile
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SourceError(Exception):
    """A source cannot give the file; the sentence says why, without the source's name."""


class WrongContentError(SourceError):
    """What came is not the published file; the sentence says how it differs."""


class PartialFile:
    """What is there of a file.

    Args:
        target: where the complete file will lie.
        wanted: what it must be.

    Attributes:
        path: of the part.
        continued: whether bytes of an earlier answer or command are among it.
    """

    def __init__(self, target: Path, wanted: PublishedFile) -> None:
        self.target, self.wanted = target, wanted
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_symlink():
            self.path.unlink()  # what it leads to is not this command's file
        self.continued = self.size > 0

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str | None:
        """What the server named the version that the bytes are of; only of files without a published checksum."""
        try:
            return str(json.loads(self._note.read_text())["validator"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return None

    def remember(self, validator: str) -> None:
        """Record the version that the bytes are of, so that another process can go on."""
        with self.explaining_full_disk():
            write_atomically(self._note, json_text({"validator": validator}).encode())

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
        with self.explaining_full_disk(), self.path.open("ab") as file:
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
            raise WrongContentError(f"gives a file that {problem} and was deleted")
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
            if expected is not None:
                with self.path.open("rb") as file:
                    found = hashlib.file_digest(file, kind).hexdigest()
                if found != expected:
                    return f"has the {kind.upper()} {found} instead of {expected}"
        return ""

    @contextmanager
    def explaining_full_disk(self) -> Iterator[None]:
        """Report a full disk inside the block in one sentence.

        Raises:
            UserError: the disk is full.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise self._no_room(max(self.wanted.bytes - self.size, 0)) from error

    def _no_room(self, missing: int) -> UserError:
        free = shutil.disk_usage(self.target.parent).free
        kept = f"; {decimal(self.size)} of it are there already and are kept" if self.size else ""
        return UserError(
            f"the disk of {self.target.parent} is full: {self.target.name} needs {decimal(missing)} more and "
            f"{decimal(free)} are free{kept}; make room, or put the folder of weights elsewhere (paths.weights, "
            "MEDSAM_WEIGHTS), and give the same command again."
        )
