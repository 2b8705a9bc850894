"""Status of a sweep's jobs, each recorded in the job's folder: done, failed with a reason, or missing."""

import hashlib
import json
import logging
import re
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import keyed_values
from medsam_exp.config.settings import NO_RESULT_OF_DATA
from medsam_exp.config.start_command import conf_folders
from medsam_exp.metrics.measures import MEASURES, score_cell
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.disk_faults import disk_fault, name_folder
from medsam_exp.runtime.foreign import naming_the_file, read_json, read_table_of_json
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.locks import waiting_lock
from medsam_exp.runtime.nodes import is_first_node
from medsam_exp.stages.pipeline import STAGES, scored_labels, stage_title

log = logging.getLogger(__name__)

SWEEP_FILE = "sweep.json"
"""The grid and its jobs, in the sweep's folder."""
STATUS_FILE = "job_status.json"
"""Status of a job, in its folder."""
LOCK_FILE = "job.lock"
"""There as soon as a job has begun; locked while it runs."""

Status = Literal["done", "failed", "missing"]
Planner = Callable[[DictConfig], str]
"""Configuration -> digest of what a job computes: the keys of its stages and what their files hold."""
_INVALIDATED = "invalidated"
_FOLDERS_OF_MASKS, _OF_MASKS = ("masks", "labels", "uncertainty"), (".png", ".npz", ".json")
_FILES_OF_A_RUN = (
    STATUS_FILE,
    "error.txt",
    "summary.json",
    "per_image.csv",
    "report.html",
    "report",
    "figures",
    *_FOLDERS_OF_MASKS,
)
_IRRELEVANT = ("paths", "limits", "logger", "workers", "sweep")
_WEIGHT_GROUPS = ("clip", "sam", "calibration")
"""Groups of weights, whose content is part of the plan: fetching or moving the same weights leaves a job done."""


def attempt(cfg: DictConfig, folder: Path, run: Callable[[], None], plan: Planner) -> None:
    """Run a job unless it is done with the same inputs; a failure is recorded and stops no other job.

    A process that starts the same job meanwhile waits, and finds it done. A killed job leaves no status, so that
    the sweep's next start runs it again. With `sweep.fail_fast` no job starts once another has failed.

    Args:
        cfg: of the job.
        folder: of the job.
        run: does the work.
        plan: tells what the job would compute, for its record.
    """
    if not is_first_node():  # the first one records the status, and a group that lost a node fails there
        if _skip_reason(cfg, folder, plan) is None:
            run()
        return
    with waiting_lock(folder / LOCK_FILE, f"job          {folder.name}: another process is at it; waiting"):
        if reason := _skip_reason(cfg, folder, plan):
            log.info("%-12s %s: %s", "job", folder.name, reason)
            return
        for name in _FILES_OF_A_RUN:  # of an earlier attempt, which may be another configuration's
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        started = time.monotonic()
        try:
            computed = {"configuration": _configuration_digest(cfg), "plan": plan(cfg)}
            run()
            tables = _tables(folder)
        except Exception as error:
            name_folder(error, str(folder))
            with suppress(OSError):  # the error may be of the disk
                (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
            record_failure(folder, error_line(error))
        else:
            _write(
                folder,
                {"status": "done", "error": None, "at": time.time(), "tables": tables, **computed},
            )
            log.info("%-12s %s, %.1f s", "job", outcome(folder), time.monotonic() - started)


def _skip_reason(cfg: DictConfig, folder: Path, plan: Planner) -> str | None:
    """Why a job is not run; None when it is."""
    if is_up_to_date(cfg, folder, plan):
        return "done before"
    beside = sorted(folder.parent.glob(f"*/{STATUS_FILE}")) if cfg.sweep.fail_fast else []
    failed = (path.parent.name for path in beside if status_of(path.parent) == "failed")
    return next((f"not started, as {name} failed" for name in failed), None)


def is_up_to_date(cfg: DictConfig, folder: Path, plan: Planner) -> bool:
    """Whether a job is done under this configuration and with its input files as they are; validates its record.

    Args:
        cfg: of the job.
        folder: of the job.
        plan: tells what the job would compute now.
    """
    record = _read(folder)
    if record.get("status") not in ("done", _INVALIDATED) or not (folder / "summary.json").is_file():
        return False
    try:
        now = {"configuration": _configuration_digest(cfg), "plan": plan(cfg)}
    except Exception:  # the job itself reports what is wrong
        return False
    if any(record.get(key) != value for key, value in now.items()):
        return False
    try:
        tables = _tables(folder)
    except OSError:  # a file that cannot be read is not what was written
        tables = {}
    written = record.get("tables", {})  # of earlier versions it names fewer
    if any(tables.get(name) != digest for name, digest in written.items()):
        log.warning(
            "%-12s %s: its tables or masks are not those that it wrote; it is run again", "job", folder.name
        )
        return False
    if record["status"] == _INVALIDATED:
        _write(folder, {**record, "status": "done"})
    return True


def invalidate(folder: Path) -> None:
    """Invalidate a done job, as files of the configuration changed; `is_up_to_date` checks it and may validate it."""
    if status_of(folder) == "done":
        _write(folder, {**_read(folder), "status": _INVALIDATED})


def record_failure(folder: Path, reason: str) -> None:
    """Record the failure of a job whose process died, unless the job recorded its own status."""
    if status_of(folder) == "missing":
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, {"status": "failed", "error": reason})
        log.error("%-12s %s failed: %s", "job", folder.name, reason)


def clear_failure(folder: Path) -> None:
    """Clear the status of a failed job, before it is run again."""
    if status_of(folder) == "failed":
        (folder / STATUS_FILE).unlink()


def status_of(folder: Path) -> Status:
    """Whether a job is done, failed, or has not come to an end."""
    status: Status = _read(folder).get("status", "missing")
    if status == _INVALIDATED:
        return "missing"
    return status if status != "done" or (folder / "summary.json").is_file() else "missing"


def is_damaged(folder: Path) -> bool:
    """Whether the record of a job is there, but is not what a job writes; the job counts as one without an end."""
    return (folder / STATUS_FILE).is_file() and not _read(folder)


def done_at(folder: Path) -> float:
    """When a job last came to a good end, by the clock of then, in seconds since the epoch; 0 where it has not."""
    return float(_read(folder).get("at", 0))


def error_of(folder: Path) -> str | None:
    """Last line of a failed job's error."""
    error: str | None = _read(folder).get("error") if status_of(folder) == "failed" else None
    return error


def last_line(text: str) -> str:
    """Last line of a text that is not blank, stripped; "" where there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def outcome(folder: Path) -> str:
    """What came of a done job: "3 of 48  saliency=gradcam: SAM mask, DSC 0.950 ± 0.032"; without scores its values.

    Args:
        folder: of the job.
    """
    score = ""
    with naming_the_file(folder / "summary.json", "is not what a run leaves", "run the job again"):
        metrics = read_table_of_json(folder / "summary.json").get("metrics", {})
        for stage in reversed(scored_labels(metrics)):
            found = [(each, metrics.get(f"{stage}/{each.name}")) for each in MEASURES]
            if shown := [
                f": {stage_title(stage)}, {each.label} {score_cell(figures, each.decimals).value}"
                for each, figures in found
                if figures
            ]:
                score = shown[0]
                break
    known = folder.parent / SWEEP_FILE
    if known.is_file():
        with naming_the_file(known, "is not what a sweep leaves", "run the sweep again"):
            jobs = read_json(known)["jobs"]
            for number, job in enumerate(jobs, start=1):
                if job["folder"] == folder.name:
                    values = [
                        f"{key.lstrip('+~')}={as_typed(value)}"
                        for key, value in job.get("overrides", {}).items()
                    ]
                    return f"{number} of {len(jobs)}  {','.join(values) or folder.name}{score}"
    return f"{folder.name}{score}"


def as_text(value: Any) -> str:
    """A setting as one types it."""
    return json_text(value) if isinstance(value, bool) or value is None else str(value)


def as_typed(value: Any) -> str:
    """The same without the backslashes or quotes by which Hydra records spaces and commas."""
    text = as_text(value)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return re.sub(r"\\(.)", r"\1", text)


def error_line(error: BaseException) -> str:
    """Last line of an error's message, or the error's class where it has no message; of a disk's, one sentence."""
    if said := disk_fault(error):
        return said
    return last_line(str(error)) or type(error).__name__


def _configuration_digest(cfg: DictConfig) -> str:
    """Hash of everything that decides a job's results, with the versions of its stages."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    kept: dict[str, Any] = {str(key): value for key, value in content.items() if key not in _IRRELEVANT}
    kept["data"] = keyed_values(cfg.data, without=NO_RESULT_OF_DATA)
    kept |= {group: keyed_values(cfg[group], without_paths=True) for group in _WEIGHT_GROUPS if group in kept}
    versions = {name: STAGES[name].version for name in cfg.stages if name in STAGES}
    return hashlib.sha256(json_text([kept, versions], sort_keys=True).encode()).hexdigest()


def _tables(folder: Path) -> dict[str, str]:
    """Hashes of the files by which others know a job: its tables, and one of all files of each folder of masks."""
    found = (folder / name for name in ("summary.json", "per_image.csv"))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()}
    for name in _FOLDERS_OF_MASKS:
        hasher = hashlib.sha256()
        for path in sorted(path for path in (folder / name).glob("*") if path.suffix in _OF_MASKS):
            hasher.update(path.name.encode(errors="surrogateescape") + b"\0")
            hasher.update(hashlib.sha256(path.read_bytes()).digest())
        digests[name] = hasher.hexdigest()
    return digests


def configuration_files_digest() -> str:
    """Hash of all YAML files that a job may be composed of, with the versions of the stages."""
    found = [
        (str(path.relative_to(folder)), path.read_text())
        for folder in conf_folders()
        for path in sorted(folder.rglob("*.yaml"))
    ]
    versions = {name: stage.version for name, stage in STAGES.items()}
    return hashlib.sha256(json_text([found, versions]).encode()).hexdigest()


def _read(folder: Path) -> dict[str, Any]:
    """A job's record; nothing where it is not there yet, or damaged: the job is not done then."""
    try:
        content = json.loads((folder / STATUS_FILE).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    known = isinstance(content, dict) and content.get("status") in ("done", "failed", _INVALIDATED)
    return content if known else {}


def _write(folder: Path, content: dict[str, Any]) -> None:
    write_atomically(folder / STATUS_FILE, json_text(content, indent=1).encode())
