"""Locks between processes, also on several machines that share a file system.

They are the system's own (`flock`), so a process that dies, however it dies, holds none. On NFS (version 4, or 3 with
its lock service) and on Lustre mounted with `flock` they hold between machines, and the lock of a *machine* that died
is free when the server notices, a minute or two later. Where a file system locks within one machine only (NFS mounted
with `nolock` or `local_lock`, Lustre with `localflock`), two machines may do the same work twice, but nothing is
corrupted: what is written appears whole or not at all (`write_atomically`), and is the same both times. Where a
file system has no `flock` (it answers that there is none, or no more locks, or fails), a file of the name and `.held`
stands for the lock while it is there; one that a dead process of the same machine left is taken over, and one of a dead
*machine* must be deleted by hand.
"""

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.25
"""Hundreds of waiting jobs should not wear out a file server."""
_NO_FLOCK = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EIO, errno.ENOSYS)
"""What a file system answers whose files cannot be locked."""


class ProcessLock:
    """The lock of a file, which one process at a time can hold.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: BaseFileLock | None = None

    def acquired(self) -> bool:
        """Hold the lock from now on, unless another process holds it; the file's folder is made."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._take(FileLock(self._path))
        except (
            NotImplementedError
        ):  # filelock's word for ENOSYS, where it does not do the following by itself
            self._take(SoftFileLock(f"{self._path}.held"))
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            self._take(SoftFileLock(f"{self._path}.held"))
        return self._held is not None

    def _take(self, lock: BaseFileLock) -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return
        self._held = lock

    def acquire(self, says: str = "", seconds: float | None = None) -> bool:
        """Hold the lock, after waiting for whoever holds it.

        Args:
            says: line for the log of a process that has to wait.
            seconds: that it waits at most; None for no end.

        Returns:
            Whether it is held.
        """
        if self.acquired():
            return True
        if says:
            log.info("%s", says)
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            if self.acquired():
                return True
        return False

    def release(self) -> None:
        """Let another process hold it."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def __enter__(self) -> Self:
        """Hold it, after waiting."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()


def acquired(path: Path) -> ProcessLock | None:
    """The lock of a file, held from now on; None where another process holds it."""
    lock = ProcessLock(path)
    return lock if lock.acquired() else None


@contextmanager
def waiting_lock(path: Path, says: str, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a file, after waiting for whoever holds it.

    Args:
        path: of the file; its folder is made.
        says: line for the log of a process that has to wait.
        seconds: that it waits at most; None for no end.

    Raises:
        TimeoutError: it has waited so long.
    """
    lock = ProcessLock(path)
    if not lock.acquire(says, seconds):
        raise TimeoutError(f"{path} is held by another process")
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock file; one without a holder is what a killed process left."""
    if not path.is_file():
        return False
    try:
        lock = acquired(path)
    except OSError:  # somebody else's file, whose lock cannot be asked for, counts as held
        return True
    if lock:
        lock.release()
    return lock is None
