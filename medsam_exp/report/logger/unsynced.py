"""Which W&B runs below a folder are still to be sent: told by W&B's own mark and by ours."""

import time
from pathlib import Path
from typing import Literal

_SILENT_S = 60
"""W&B writes to the log of a running run every 15 s."""

State = Literal["sent", "running", "unsent"]


class SyncMarker:
    """A file beside a run's log, there from its beginning until all of it is where it belongs.

    So a run that is killed stays marked.

    Args:
        folder: `wandb/run-...` or `wandb/offline-run-...`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "unfinished.txt"

    def running(self) -> None:
        """The run begins."""
        self.path.write_text("running")

    def not_sent(self) -> None:
        """The run has ended, and the server did not take all of it."""
        self.path.write_text("not sent")

    def done(self) -> None:
        """The run has ended, and is sent if it is an online one."""
        self.path.unlink(missing_ok=True)


def wandb_runs(outputs: Path) -> dict[Path, State]:
    """Every W&B run below a folder, oldest first, and whether it is to be sent."""
    logs = [path for path in outputs.rglob("*.wandb") if path.parent.parent.name == "wandb"]
    return {path.parent: _state(path) for path in sorted(logs, key=lambda path: path.parent.name)}


def _state(path: Path) -> State:
    if path.with_suffix(".wandb.synced").exists():
        return "sent"
    mark = SyncMarker(path.parent).path
    marked = mark.read_text() if mark.is_file() else ""
    if marked == "running" and time.time() - path.stat().st_mtime < _SILENT_S:
        return "running"
    return "unsent" if marked or path.parent.name.startswith("offline-run-") else "sent"
