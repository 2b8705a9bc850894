"""Locks between processes, also on several machines that share a file system.

They are the system's own (`flock`), so a process that dies, however it dies, holds none. On NFS (version 4, or 3 with
its lock service) and on Lustre mounted with `flock` they hold between machines, and the lock of a *machine* that died
is free when the server notices, a minute or two later. Where a file system locks within one machine only (NFS mounted
with `nolock` or `local_lock`, Lustre with `localflock`), two machines may do the same work twice, but nothing is
corrupted: what is written appears whole or not at all (`write_atomically`), and is the same both times. Without any
`flock` a lock file stands for the lock, and one that a dead machine left behind must be deleted by hand.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.25
"""Hundreds of waiting jobs should not wear out a file server."""


def acquired(path: Path) -> FileLock | None:
    """The lock of a file, held from now on; None where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


@contextmanager
def waiting_lock(path: Path, says: str) -> Iterator[None]:
    """Hold the lock of a file, after waiting for whoever holds it.

    Args:
        path: of the file; its folder is made.
        says: line for the log of a process that has to wait.
    """
    lock = acquired(path)
    if lock is None:
        log.info("%s", says)
        lock = FileLock(path)
        lock.acquire(poll_interval=_SECONDS_BETWEEN_LOOKS)
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
