"""Files that are being written beside those whose places they will take, and what dead processes left of them."""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import socket
import tempfile
import threading
import weakref
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
    _sweep_folders(kind)
    return _LockedFolder(prefix=f"{kind}{_machine()}-{os.getpid()}.", ignore_cleanup_errors=True)


class _LockedFolder(tempfile.TemporaryDirectory[str]):
    """A folder that is locked until it is removed, or the process that made it and all that it forked are gone."""

    def __init__(self, prefix: str, ignore_cleanup_errors: bool) -> None:
        super().__init__(prefix=prefix, ignore_cleanup_errors=ignore_cleanup_errors)
        handle = _lock(self.name)
        self._unlock = None if handle is None else weakref.finalize(self, os.close, handle)

    def cleanup(self) -> None:
        super().cleanup()
        if self._unlock is not None:
            self._unlock()


def _lock(folder: str) -> int | None:
    """Lock a folder until the handle is closed; None where a process holds it, or the file system has no locks."""
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


def _sweep_folders(kind: str) -> None:
    """Remove, once in a process, the folders whose maker is gone and that no process holds that it forked."""
    folder = tempfile.gettempdir()
    if not _is_first_sweep(os.path.join(folder, kind)):  # noqa: PTH118
        return
    name = re.compile(rf"{re.escape(kind)}{_machine()}-(?P<process>\d+)\.\w+")
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            left = name.fullmatch(entry.name)
            if left is None or _is_alive(int(left["process"])):
                continue
            if (handle := _lock(entry.path)) is not None:
                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(handle)


def _is_first_sweep(place: str) -> bool:
    with _one_at_a_time:
        first = place not in _swept
        _swept.add(place)
    return first


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
    if not _is_first_sweep(str(folder)):
        return
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
