"""Send what W&B runs kept on this machine: `medsam-exp sync`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from medsam_exp.report.logger.unsynced import State, SyncMarker, wandb_runs
from medsam_exp.report.logger.wandb_auth import base_url, has_key, reachable

Send = Callable[[Path], bool]


def sync(outputs: Path, send: Send | None = None) -> int:
    """Send each run that was not sent yet.

    Args:
        outputs: folder of runs and sweeps.
        send: sends the W&B folder of one run and says whether it worked.

    Returns:
        Exit code: 0 all sent, 1 some could not be sent, 2 no key.
    """
    runs = wandb_runs(outputs)
    unsent = [folder for folder, state in runs.items() if state == "unsent"]
    running = _count(runs, "running")
    still = f"; {running} still running, left alone" if running else ""
    if not unsent:
        print(f"nothing to send below {outputs}: {_count(runs, 'sent')} sent{still}")
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
    failed = [folder for folder in unsent if not (send or _sent)(folder)]
    print(f"{len(unsent) - len(failed)} of {len(unsent)} W&B runs sent{still}")
    for folder in failed:
        print(f"not sent: {folder}")
    return 1 if failed else 0


def _count(runs: dict[Path, State], state: State) -> int:
    return list(runs.values()).count(state)


def _sent(folder: Path) -> bool:
    """W&B's command ends with 0 also where it failed; only its mark beside the log tells."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", str(folder)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    worked = any(folder.glob("*.wandb.synced"))
    if worked:
        SyncMarker(folder).done()
    return worked
