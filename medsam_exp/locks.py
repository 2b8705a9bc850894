"""Lock files: held by a process as long as it lives, so that a killed one is seen as gone."""

from pathlib import Path

from filelock import FileLock, Timeout


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock file; one without a holder is what a killed process left."""
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # somebody else's file, whose lock cannot be asked for, counts as held
        return True
    lock.release()
    return False
