"""What a run leaves in its folder while it works: that its process lives, which artifacts it uses, why it failed."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.disk_faults import name_folder
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.locks import ProcessLock, is_locked

KEYS_FILE = "keys.json"
ERROR_FILE = "error.txt"
_LOCK_FILE = "running.lock"


@contextmanager
def alive(run_dir: Path) -> Iterator[None]:
    """Let others see that a run is going on, and afterwards why it failed; a killed process is seen as gone.

    Args:
        run_dir: existing folder of the run.
    """
    (run_dir / ERROR_FILE).unlink(missing_ok=True)
    with ProcessLock(run_dir / _LOCK_FILE):
        try:
            yield
        except Exception as error:
            name_folder(error, str(run_dir))
            with suppress(OSError):  # the error may be of the disk
                (run_dir / ERROR_FILE).write_text("".join(traceback.format_exception(error)))
            raise
        finally:
            (run_dir / _LOCK_FILE).unlink(missing_ok=True)


def write_keys(run_dir: Path, keys: Iterable[str]) -> None:
    """Say which artifacts a run uses, before it does: a run that is killed needs them to go on."""
    write_atomically(run_dir / KEYS_FILE, json_text(sorted(set(keys)), indent=1).encode())


def is_running(run_dir: Path) -> bool:
    """Whether a run's process lives."""
    return is_locked(run_dir / _LOCK_FILE)
