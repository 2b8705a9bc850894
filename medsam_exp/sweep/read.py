"""Read a sweep back: `sweep.json` and the folders of its jobs, or any folder of finished runs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.report.finished_run import FinishedRun, read_configuration, read_run
from medsam_exp.runtime.foreign import naming_the_file, read_json, read_yaml
from medsam_exp.sweep.status import (
    LOCK_FILE,
    STATUS_FILE,
    SWEEP_FILE,
    as_text,
    as_typed,
    error_of,
    is_damaged,
    last_line,
    status_of,
)
from medsam_exp.types import UserError

SEED = "seed"
"""The axis that is aggregated over, not listed."""
_RUN_AXIS = "run"
_NEVER_AXES_PREFIXES = (
    "hydra.",
    "hydra/",
    "paths.",
    "logger.",
    "sweep.",
    "trainer.strategy.",
)  # change no result
_TRAINER_PLACEMENT = {f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy")}
_NEVER_AXES = {"name", "sweep", "paths", "logger", "workers", "trainer", *_TRAINER_PLACEMENT}
_LONGEST_ERROR = 300  # letters
_NOTHING = FinishedRun(Path(), {}, [], {})


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        number: in the sweep.
        values: its value on each axis, as text.
        folder: of the run.
        command: that repeats it; "" when unknown.
        run: what it left; empty when it failed or never ran.
        error: why there is no run, in one line; None when there is one.
    """

    number: int
    values: Mapping[str, str]
    folder: Path
    command: str = ""
    run: FinishedRun = _NOTHING
    error: str | None = None


@dataclass(frozen=True)
class SweepResults:
    """A sweep read back from disk.

    Attributes:
        name: for titles.
        axes: the values of each axis that was varied, as text, in order.
        jobs: all of them, in order, those without results too.
    """

    name: str
    axes: Mapping[str, tuple[str, ...]]
    jobs: tuple[Job, ...]

    @property
    def finished(self) -> tuple[Job, ...]:
        """Jobs with results."""
        return tuple(job for job in self.jobs if job.error is None)

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Jobs that failed or never ran."""
        return tuple(job for job in self.jobs if job.error is not None)


def read_sweep(folders: Sequence[Path]) -> SweepResults:
    """Read a sweep.

    Args:
        folders: one folder with a sweep.json or with a folder for each run; or the folders of single runs.

    Raises:
        UserError: there is no run in a folder, or a file in it is broken.
    """
    if len(folders) == 1 and (folders[0] / SWEEP_FILE).is_file():
        return _with_distinct_values(_from_file(folders[0]))
    found = list(dict.fromkeys(run for folder in folders for run in _run_folders(folder)))
    return _with_distinct_values(_from_folders(found))


def _from_file(folder: Path) -> SweepResults:
    """A sweep by its sweep.json, the only place that knows this file's layout."""
    path, mend = folder / SWEEP_FILE, "run the sweep again"
    content = read_json(path, mend)
    with naming_the_file(path, "is not what a sweep leaves", mend):
        axes = {_key(key): tuple(map(as_typed, values)) for key, values in content["axes"].items()}
        jobs = [_recorded_job(folder, entry, axes) for entry in content["jobs"]]
        name = str(content["name"])
        for job in jobs:
            if strange := [axis for axis in axes if job.values[axis] not in axes[axis]]:
                raise ValueError(f"job {job.number} has a value of {strange[0]} that is on no axis")
    return SweepResults(name, axes, tuple(sorted(jobs, key=lambda job: job.number)))


def _recorded_job(folder: Path, entry: Mapping[str, Any], axes: Iterable[str]) -> Job:
    own = {_key(key): as_typed(value) for key, value in entry["overrides"].items()}
    values = {axis: own.get(axis, "") for axis in axes}
    place = folder / entry["folder"]  # an absolute path stays as it is
    job = Job(int(entry["number"]), values, place, str(entry.get("command", "")))
    if entry["status"] != "done" and not _has_status(place):
        said = str(entry.get("error") or ("did not run" if entry["status"] == "missing" else "failed"))
        return replace(job, error=_shortened(said))
    return _read_job(job)


def _from_folders(found: Sequence[Path]) -> SweepResults:
    """A sweep by its runs alone: an axis is whatever setting they do not share."""
    jobs = [_read_job(Job(number, {}, folder)) for number, folder in enumerate(found)]
    typed = [_overrides(job.folder) for job in jobs]
    varied = dict.fromkeys(
        key
        for own in typed
        for key in own
        if key not in _NEVER_AXES and not key.startswith(_NEVER_AXES_PREFIXES)
    )
    values = [
        {key: own.get(key) or _default(job, key) for key in varied}
        for job, own in zip(jobs, typed, strict=True)
    ]
    axes = {key: tuple(dict.fromkeys(own[key] for own in values)) for key in varied}
    axes = {key: found for key, found in axes.items() if len(found) > 1}
    told = [
        replace(job, values={axis: own[axis] for axis in axes}) for job, own in zip(jobs, values, strict=True)
    ]
    names = dict.fromkeys(str(job.run.summary.get("name", "runs")) for job in jobs if job.error is None)
    return SweepResults(", ".join(names) or "runs", axes, tuple(told))


def _with_distinct_values(sweep: SweepResults) -> SweepResults:
    """Add the axis `run`, the folder's name, where jobs have equal values: they are no two seeds."""
    if not sweep.jobs:
        raise UserError("the sweep has no jobs")
    if len({tuple(job.values.items()) for job in sweep.jobs}) == len(sweep.jobs) and sweep.axes:
        return sweep
    names = {job.number: job.folder.name for job in sweep.jobs}
    if len(set(names.values())) < len(names):
        names = {job.number: str(job.folder) for job in sweep.jobs}
    jobs = tuple(replace(job, values={**job.values, _RUN_AXIS: names[job.number]}) for job in sweep.jobs)
    return SweepResults(sweep.name, {**sweep.axes, _RUN_AXIS: tuple(names.values())}, jobs)


def _has_status(folder: Path) -> bool:
    """Whether a job has begun, so that its own status counts; sweep.json is older while the sweep runs."""
    return any((folder / name).exists() for name in (STATUS_FILE, LOCK_FILE))


def _no_results_reason(folder: Path) -> str | None:
    """Why results in a job's folder do not count: it failed, or is running again; None where they do."""
    if not _has_status(folder):
        return None  # a run alone
    if is_damaged(folder):
        raise UserError(f"{folder / STATUS_FILE} cannot be read: run the job again")
    status, error = status_of(folder), error_of(folder)
    if status == "done":
        return None
    return _shortened(error or "failed") if status == "failed" else "has not come to an end"


def _read_job(job: Job) -> Job:
    if lack := _no_results_reason(job.folder):
        return replace(job, error=lack)
    if not (job.folder / "summary.json").is_file():
        log = job.folder / "run.log"
        output = log.read_text(errors="replace") if log.is_file() else ""
        return replace(job, error=_shortened(last_line(output) or "did not finish"))
    try:
        run = read_run(job.folder, without_images=True)
    except UserError as error:
        return replace(job, error=_shortened(str(error)))
    return replace(job, run=run, command=job.command or str(run.summary.get("command", "")))


def _run_folders(folder: Path) -> list[Path]:
    """The folder itself if it is a run's, else those right below it, 2 before 10."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder of a sweep, or folders of runs")
    if _is_run(folder):
        return [folder]
    children = sorted((child for child in folder.iterdir() if child.is_dir()), key=_natural)
    if found := [child for child in children if _is_run(child)]:
        return found
    below = [child.name for child in children if any(_is_run(each) for each in child.iterdir())]
    if below:
        raise UserError(
            f"{folder} holds {len(below)} sweeps ({', '.join(below[:5])}); give the folder of one"
        )
    raise UserError(f"{folder} has no runs in it; give the folder of a sweep, or folders of runs")


def _is_run(folder: Path) -> bool:
    return (folder / "summary.json").is_file() or (folder / ".hydra" / "overrides.yaml").is_file()


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _overrides(folder: Path) -> dict[str, str]:
    """What was typed for a run, by key."""
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return {}
    typed = read_yaml(path, "run it again") or []
    if not isinstance(typed, list):
        raise UserError(f"{path} is no list of what was typed: run it again")
    pairs = (str(part).partition("=") for part in typed)
    return {_key(key): as_typed(value) for key, _, value in pairs}


def _default(job: Job, key: str) -> str:
    """The value of a key that was not typed for this run: its choice, or what the configuration holds."""
    if key in (choices := job.run.summary.get("choices", {})):
        return str(choices[key])
    configuration = read_configuration(job.folder)
    try:
        return as_text(OmegaConf.select(configuration, key)) if configuration else ""
    except OmegaConfBaseException:
        return ""


def _key(key: str) -> str:
    """A key without the signs that add it: `++seed=0,1` varies the seed."""
    return key.lstrip("+~")


def _shortened(text: str) -> str:
    return (last_line(text) or "failed")[:_LONGEST_ERROR]
