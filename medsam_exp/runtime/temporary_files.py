"""Files that are being written beside those whose places they will take, and what dead processes left of them."""

import functools
import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FROM_A_WRITER = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)\.[a-z0-9_]{8}")
_SECONDS_OF_OTHERS = 24 * 3600.0
"""A file of another machine's process that has not changed for so long has nobody who writes it."""
_swept: set[str] = set()
_one_at_a_time = threading.Lock()


@contextmanager
def filled_beside(path: Path, *, durable: bool) -> Iterator[Path]:
    """Give an empty file to fill within a block; it takes the place of `path` at the end, or vanishes at an error.

    Args:
        path: whose folder is made.
        durable: it is on the disk afterwards, and not only in the machine's memory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem[:40]}{path.suffix[:20]}."  # of a name that may be as long as names get
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{prefix}{_machine()}-{os.getpid()}.")
    except OSError as error:
        error.filename = str(path)
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        _sweep(path.parent, temporary)
        yield temporary
        temporary.chmod(0o644)
        if durable:
            _to_disk(temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            error.filename = str(path)  # what the user knows
        raise
    if durable:
        _to_disk(path.parent)


def temporary_folder(kind: str) -> "tempfile.TemporaryDirectory[str]":
    """A folder among the system's temporary files that only this user can read; what killed processes left goes first.

    Args:
        kind: begins the names of such folders, and no others.
    """
    name = re.compile(rf"{re.escape(kind)}{_machine()}-(?P<process>\d+)\.\w+")
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            left = name.fullmatch(entry.name)
            if left and entry.is_dir(follow_symlinks=False) and not _is_alive(int(left["process"])):
                shutil.rmtree(entry.path, ignore_errors=True)
    return tempfile.TemporaryDirectory(
        prefix=f"{kind}{_machine()}-{os.getpid()}.", ignore_cleanup_errors=True
    )


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, would survive a power cut, as far as the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems know no such thing of folders
            raise
    finally:
        os.close(handle)


@functools.cache
def _machine() -> str:
    """Differs where the numbers of processes mean others: on other machines, in other containers."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        space = 0
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _sweep(folder: Path, new: Path) -> None:
    """Remove, once in a process, what dead processes left in a folder; ages are by the file system's own clock."""
    with _one_at_a_time:
        if str(folder) in _swept:
            return
        _swept.add(str(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        now = new.stat().st_mtime
        for entry in entries:
            writer = _FROM_A_WRITER.fullmatch(entry.name)
            if writer is None:
                continue
            with suppress(OSError):  # another process sweeps, too
                own = writer["machine"] == _machine()
                old = now - entry.stat(follow_symlinks=False).st_mtime > _SECONDS_OF_OTHERS
                if (own and not _is_alive(int(writer["process"]))) or (not own and old):
                    os.unlink(entry.path)  # noqa: PTH108


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's
        return True
    return True
