"""Registry of the processes that work on one study, by lock files.

Optuna's own `RetryFailedTrialCallback` is not used: it knows a dead process only when its heartbeat is overdue, needs
`Study.optimize`, which returns while other processes still work, and retries under a new trial number, so that an
interrupted "tpe" search would propose other values than an undisturbed one.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medsam_exp.runtime.locks import ProcessLock, is_locked


class Workers:
    """The processes that work on one study, each with a lock file that the system frees when the process dies.

    The locks hold between processes of one machine, and of several where the file system passes locks on.

    Args:
        folder: of the study.

    Attributes:
        name: of this process.
        lock: of the study; while it is held, no other worker changes it.
    """

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex[:12]
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = ProcessLock(folder / "study.lock")
        self._heartbeat = ProcessLock(self._path(self.name))

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Register this process; deregister it at the end."""
        with self.lock:  # or a worker's file would look like a dead one's until its lock is acquired
            for path in self._folder.glob("worker-*.lock"):
                if not is_locked(path):
                    path.unlink(missing_ok=True)
            self._heartbeat.acquire()
        try:
            yield
        finally:
            with self.lock:
                self.deregister()

    def deregister(self) -> None:
        """Remove this process from the registry; call it while holding `lock`."""
        self._path(self.name).unlink(missing_ok=True)
        self._heartbeat.release()

    def is_alive(self, name: str | None) -> bool:
        """Whether the process of a registered worker is running."""
        return name is not None and is_locked(self._path(name))

    @property
    def others_alive(self) -> bool:
        """Whether another worker is running."""
        paths = set(self._folder.glob("worker-*.lock")) - {self._path(self.name)}
        return any(map(is_locked, paths))

    def _path(self, name: str) -> Path:
        return self._folder / f"worker-{name}.lock"
