"""One job of a sweep: done already, done now, or failed with a reason; what it says about itself lies in its folder."""

import hashlib
import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from medsam_exp.digests import write_atomically
from medsam_exp.stages import STAGES

log = logging.getLogger(__name__)

STATUS_FILE = "job_status.json"
Status = Literal["done", "failed", "missing"]
_NO_MATTER = ("paths", "logger", "workers", "sweep")


def attempt(cfg: DictConfig, folder: Path, run: Callable[[], None]) -> None:
    """Run a job unless it is done under the same configuration; a failure is written down and stays its own.

    A job that is killed leaves no status, so that the sweep's next start runs it again.

    Args:
        cfg: of the job.
        folder: of the job.
        run: does the work.

    Raises:
        Exception: what `run` raised, with `sweep.fail_fast`.
    """
    digest = configuration_digest(cfg)
    if status_of(folder) == "done" and _read(folder)["configuration"] == digest:
        log.info("%-12s %s: done before", "job", folder.name)
        return
    (folder / STATUS_FILE).unlink(missing_ok=True)
    (folder / "error.txt").unlink(missing_ok=True)
    try:
        run()
    except Exception as error:
        sentence = last_line(error)
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        _write(folder, {"status": "failed", "configuration": digest, "error": sentence})
        if cfg.sweep.fail_fast:
            raise
        log.error("%-12s %s failed: %s", "job", folder.name, sentence)
    else:
        _write(folder, {"status": "done", "configuration": digest, "error": None})


def status_of(folder: Path) -> Status:
    """Whether a job is done, failed, or has not come to an end."""
    if not (folder / STATUS_FILE).is_file():
        return "missing"
    status: Status = _read(folder)["status"]
    return status if status == "failed" or (folder / "summary.json").is_file() else "missing"


def error_of(folder: Path) -> str | None:
    """Last line of a failed job's error."""
    error: str | None = _read(folder)["error"] if status_of(folder) == "failed" else None
    return error


def last_line(error: BaseException) -> str:
    """The last line that an error says, or its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def configuration_digest(cfg: DictConfig) -> str:
    """Hash of everything that decides a job's results, with the versions of its stages."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    kept: dict[str, Any] = {str(key): value for key, value in content.items() if key not in _NO_MATTER}
    versions = {name: STAGES[name].version for name in cfg.stages if name in STAGES}
    return hashlib.sha256(json.dumps([kept, versions], sort_keys=True).encode()).hexdigest()


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / STATUS_FILE).read_text())
    return content


def _write(folder: Path, content: dict[str, Any]) -> None:
    write_atomically(folder / STATUS_FILE, json.dumps(content, indent=1).encode())
