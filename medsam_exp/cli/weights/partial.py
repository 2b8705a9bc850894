"""A file that is not whole yet: `NAME.part` beside its place, hashed while it grows, moved there once verified."""

import errno
import hashlib
import json
import os
import shutil
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
        target: where the whole file will lie.
        wanted: what it must be.

    Attributes:
        size: bytes that are there.
        continued: whether the first of them were there before the present source was asked.
    """

    def __init__(self, target: Path, wanted: PublishedFile) -> None:
        self.target, self.wanted = target, wanted
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.take_up()
        self.continued = self.size > 0

    def origin(self) -> dict[str, Any]:
        """Where the bytes so far came from: `source` and `validator`; empty where nobody wrote it down."""
        try:
            content = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def remember(self, source: str, validator: str | None) -> None:
        """Write down where the bytes come from, so that another process can go on."""
        with self.room(0):
            write_atomically(self._note, json_text({"source": source, "validator": validator}).encode())

    def make_room(self, total: int | None) -> None:
        """Look before writing whether the disk can take the whole file.

        Raises:
            UserError: it cannot.
        """
        missing = (total or self.wanted.bytes) - self.size
        free = shutil.disk_usage(self.target.parent).free
        if missing > free:
            raise self._no_room(missing, free)

    def append(self, data: bytes) -> None:
        """Add bytes to the end.

        Raises:
            UserError: the disk is full; what was written before stays, to go on with.
        """
        with self.room(len(data)), self.path.open("ab") as file:
            file.write(data)
        self.size += len(data)
        for hasher in self._hashers.values():
            hasher.update(data)

    def restart(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.size, self.continued = 0, False
        self._begin_hashes()

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
        for kind, hasher in self._hashers.items():
            expected = getattr(self.wanted, kind)
            if expected is not None and hasher.hexdigest() != expected:
                return f"has the {kind.upper()} {hasher.hexdigest()} instead of {expected}"
        return "is empty" if self.size == 0 else ""

    def _begin_hashes(self) -> None:
        self._hashers = {"sha256": hashlib.sha256()}
        if self.wanted.md5 is not None:
            self._hashers["md5"] = hashlib.md5(usedforsecurity=False)

    def take_up(self) -> None:
        """Hash what is there, whoever has written it."""
        self.size = 0
        self._begin_hashes()
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            while data := file.read(_CHUNK):
                self.size += len(data)
                for hasher in self._hashers.values():
                    hasher.update(data)

    def room(self, more: int) -> "_Room":
        """A full disk inside the block is said in one sentence; `more` bytes are being added to the end."""
        return _Room(self, more)

    def _no_room(self, missing: int, free: int) -> UserError:
        kept = f"; {decimal(self.size)} of it are there already and are kept" if self.size else ""
        return UserError(
            f"the disk of {self.target.parent} is full: {self.target.name} needs {decimal(missing)} more and "
            f"{decimal(free)} are free{kept}; make room, or put the folder of weights elsewhere (paths.weights, "
            "MEDSAM_WEIGHTS), and give the same command again."
        )


class _Room:
    """Turns a full disk into its sentence, and takes back bytes of a write that was broken off."""

    def __init__(self, part: PartialFile, more: int) -> None:
        self._part, self._more = part, more

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not (isinstance(error, OSError) and error.errno in _FULL):
            return
        part = self._part
        if self._more and part.path.is_file():
            os.truncate(part.path, part.size)
        missing = max(part.wanted.bytes - part.size, self._more)
        raise part._no_room(missing, shutil.disk_usage(part.target.parent).free) from error
