"""Several processes on one study: who lives, and who may change the study just now."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from medsam_exp.runtime.locks import is_locked


class Workers:
    """The processes that work on one study, each with a lock file that the system frees when the process dies.

    The locks hold between processes of one machine, and of several where the file system passes locks on.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex[:12]
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._alone = FileLock(folder / "study.lock")
        self._own = FileLock(self._path(self.name))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Be one of the workers."""
        with self.alone():  # so that nobody takes a file whose lock is not held yet for a dead one's
            for path in self._folder.glob("worker-*.lock"):
                if not is_locked(path):
                    path.unlink(missing_ok=True)
            self._own.acquire()
        try:
            yield
        finally:
            with self.alone():
                self.leave()

    def leave(self) -> None:
        """Be none of the workers any more; while alone, so that what is done with it then holds for all others."""
        self._path(self.name).unlink(missing_ok=True)
        self._own.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other worker change the study meanwhile."""
        with self._alone:
            yield

    def lives(self, name: str | None) -> bool:
        """Whether a worker's process is still there."""
        return name is not None and is_locked(self._path(name))

    @property
    def others(self) -> bool:
        """Whether another worker is there."""
        paths = set(self._folder.glob("worker-*.lock")) - {self._path(self.name)}
        return any(map(is_locked, paths))

    def _path(self, name: str) -> Path:
        return self._folder / f"worker-{name}.lock"
