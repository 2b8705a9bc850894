"""Which W&B runs below a folder are still to be sent, and sending them: `medsam-exp sync`.

W&B's own mark tells offline runs that were sent. Ours stands beside a run's log from its beginning until all of it is
where it belongs, so a run that is killed stays marked.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from medsam_exp.report.logger.wandb_auth import base_url, has_key, reachable

RUNNING, NOT_SENT = "running", "not sent"
"""Contents of our mark: the run has begun; it has ended, and the server did not take all of it."""
_SILENT_S = 60
"""W&B writes to the log of a running run every 15 s."""

State = Literal["sent", "running", "unsent"]


def mark(folder: Path) -> Path:
    """Our mark of a run that is not where it belongs; `folder` is its `wandb/run-...` or `wandb/offline-run-...`."""
    return folder / "unfinished.txt"


def wandb_runs(outputs: Path) -> dict[Path, State]:
    """Every W&B run below a folder, oldest first, and whether it is to be sent."""
    logs = [path for path in outputs.rglob("*.wandb") if path.parent.parent.name == "wandb"]
    return {path.parent: _state(path) for path in sorted(logs, key=lambda path: path.parent.name)}


def _state(log: Path) -> State:
    if log.with_suffix(".wandb.synced").exists():
        return "sent"
    marked = mark(log.parent).read_text() if mark(log.parent).is_file() else ""
    if marked == RUNNING and abs(time.time() - log.stat().st_mtime) < _SILENT_S:
        return "running"
    return "unsent" if marked or log.parent.name.startswith("offline-run-") else "sent"


def sync(outputs: Path, *, dry_run: bool = False) -> int:
    """Send each run below a folder of runs and sweeps that was not sent yet.

    Args:
        outputs: the folder.
        dry_run: say what would be sent, and send nothing.

    Returns:
        Exit code: 0 all sent, 1 some could not be sent, 2 no key.
    """
    runs = wandb_runs(outputs)
    states, unsent = list(runs.values()), [folder for folder, state in runs.items() if state == "unsent"]
    running = states.count("running")
    still = f"; {running} still running, left alone" if running else ""
    if not unsent:
        print(f"nothing to send below {outputs}: {states.count('sent')} sent{still}")
        return 0
    if dry_run:
        print(f"{len(unsent)} W&B runs below {outputs} would be sent{still}:")
        print("\n".join(map(str, unsent)))
        return 0
    if not has_key():
        print(
            f"{len(unsent)} W&B runs below {outputs} would be sent{still}, but there is no key:"
            " set WANDB_API_KEY or type: wandb login"
        )
        return 2
    if not reachable():
        print(f"{len(unsent)} W&B runs below {outputs} cannot be sent: {base_url()} does not answer")
        return 1
    failed = [folder for folder in unsent if not _sent(folder)]
    print(f"{len(unsent) - len(failed)} of {len(unsent)} W&B runs sent{still}")
    for folder in failed:
        print(f"not sent: {folder}")
    return 1 if failed else 0


def _sent(folder: Path) -> bool:
    """W&B's command ends with 0 also where it failed; only its mark beside the log tells."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", str(folder)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    worked = any(folder.glob("*.wandb.synced"))
    if worked:
        mark(folder).unlink(missing_ok=True)
    return worked
