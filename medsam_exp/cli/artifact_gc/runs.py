"""The runs and sweeps below `outputs/`: how each ended, when, its main scores, its size."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from medsam_exp.metrics.measures import ALL_MEASURES, MEASURES
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.run_status import ERROR_FILE, is_running
from medsam_exp.runtime.sizes import Extent, extent
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.pipeline import scored_labels
from medsam_exp.sweep.status import SWEEP_FILE, error_of, is_damaged, status_of

Status = Literal["done", "running", "failed", "stopped", "unreadable"]
_LONGEST_ERROR = 200  # letters
_MARKS = frozenset({".hydra", "summary.json", "job_status.json", "run.log"})
"""Each of these names tells a run's folder."""
_COPIES = "wandb"
"""Folder of a run or sweep with copies of its other files."""
_LOWER_IS_BETTER = {name for name, measure in ALL_MEASURES.items() if not measure.higher_is_better}


@dataclass(frozen=True)
class Run:
    """A run, or a sweep with its jobs.

    Attributes:
        name: its path below the outputs.
        folder: where it lies.
        status: "stopped" is a run whose process ended without a result or an error, so it was killed.
        note: the error's last line, or of a sweep how many jobs are done and which is best.
        when: it ended, or last wrote something.
        metrics: means over images by "stage/measure"; of a sweep those of its best job.
        main: names of the most telling of them.
        extent: what its folder takes, without stored results.
        jobs: of a sweep; those that never began are not among them.
    """

    name: str
    folder: Path
    status: Status
    note: str
    when: datetime
    metrics: Mapping[str, float]
    main: tuple[str, ...]
    extent: Extent
    jobs: tuple["Run", ...] = ()

    @property
    def folders(self) -> list[Path]:
        """Of itself and of its jobs."""
        return [self.folder, *(job.folder for job in self.jobs)]


def find_runs(outputs: Path, artifacts: Path) -> list[Run]:
    """All runs and sweeps below a folder, in the order of their names.

    A folder that cannot be looked into is among them as "unreadable", as it may be or hold one.

    Args:
        outputs: folder of runs and sweeps, of any depth, also behind links.
        artifacts: folder of stored results, where no run is.
    """
    folders, problems = _folders_below(outputs, artifacts)
    found: dict[Path, Run] = {}
    for folder in sorted(folders, reverse=True):  # jobs before the sweep above them
        names, name = folders[folder], folder.relative_to(outputs).as_posix()
        try:
            if SWEEP_FILE in names:
                jobs = [each for each in sorted(found) if each.parent == folder and _is_run(folders[each])]
                found[folder] = _sweep(folder, name, tuple(found[job] for job in jobs))
                found = {each: run for each, run in found.items() if each not in jobs}
            elif _is_run(names):
                found[folder] = _run(folder, name)
        except OSError as error:  # its names can be seen, its files cannot
            problems[folder] = error.strerror or type(error).__name__
    long_ago, nothing = datetime.fromtimestamp(0).astimezone(), Extent(0, 0, 0.0)
    for folder, problem in problems.items():
        name, note = folder.relative_to(outputs).as_posix(), f"it cannot be read ({problem})"
        found[folder] = Run(name, folder, "unreadable", note, long_ago, {}, (), nothing)
    return sorted(found.values(), key=lambda run: run.name)


def _folders_below(top: Path, without: Path) -> tuple[dict[Path, list[str]], dict[Path, str]]:
    """What each folder holds, and why those that cannot be looked into cannot.

    Links are followed after everything else; those in a run lead to no other runs.
    """
    found: dict[Path, list[str]] = {}
    problems: dict[Path, str] = {}

    def note(error: OSError) -> None:
        if not isinstance(error, NotADirectoryError):  # a link to a file
            problems[Path(error.filename)] = error.strerror or type(error).__name__

    left_out, seen, waiting = Path(os.path.realpath(without)), set[Path](), [top]
    for start in waiting:  # grows
        for above, folders, files in os.walk(start, onerror=note):
            here, real = Path(above), Path(os.path.realpath(above))
            if real in seen or real.is_relative_to(left_out):
                folders.clear()
                continue
            seen.add(real)
            found[here] = names = sorted([*folders, *files])
            of_run = any(_is_run(found.get(each, ())) for each in (here, *here.parents))
            if not of_run:
                waiting += [here / name for name in names if (here / name).is_symlink()]
            if (of_run or SWEEP_FILE in names) and _COPIES in folders:
                folders.remove(_COPIES)
    return found, problems


def lower_is_better(metric: str) -> bool:
    """Whether the best of a metric, "stage/measure", is its smallest."""
    return metric.rpartition("/")[2] in _LOWER_IS_BETTER


def _is_run(names: Iterable[str]) -> bool:
    return not _MARKS.isdisjoint(names)


def _run(folder: Path, name: str) -> Run:
    summary, problem = _summary(folder / "summary.json")
    size = extent(folder)
    metrics = _metrics(summary)
    status, note = _status(folder, summary)
    if problem and status in ("done", "stopped"):
        status, note = "unreadable", problem
    when = _date(summary) or datetime.fromtimestamp(size.changed).astimezone()
    return Run(name, folder, status, note, when, metrics, _main(metrics), size)


def _sweep(folder: Path, name: str, jobs: tuple[Run, ...]) -> Run:
    count = _planned(folder / SWEEP_FILE) or len(jobs)
    done = [job for job in jobs if job.status == "done"]
    best = _best(done)
    notes = [f"{len(done)} of {count} jobs done"]
    for status in ("running", "failed", "unreadable"):
        if number := sum(job.status == status for job in jobs):
            notes.append(f"{number} {status}")
    if best is not None and best.main:
        notes.append(f"best {best.main[0]}: {best.folder.name}")
    when = max(
        (job.when for job in jobs), default=datetime.fromtimestamp(folder.stat().st_mtime).astimezone()
    )
    return Run(
        name=name,
        folder=folder,
        status=_status_of_sweep(jobs, count),
        note=", ".join(notes),
        when=when,
        metrics=best.metrics if best else {},
        main=best.main if best else (),
        extent=extent(folder),
        jobs=jobs,
    )


def _status_of_sweep(jobs: tuple[Run, ...], count: int) -> Status:
    found = [job.status for job in jobs]
    if "running" in found:
        return "running"
    if found.count("done") == count:
        return "done"
    return "failed" if "failed" in found else "stopped"


def _status(folder: Path, summary: Mapping[str, Any]) -> tuple[Status, str]:
    """Status of a run, and a note on it."""
    if is_running(folder):
        return "running", ""
    if (folder / "job_status.json").is_file():
        if is_damaged(folder):
            return "unreadable", f"{folder / 'job_status.json'} is broken"
        recorded = status_of(folder), error_of(folder) or ""
        return ("stopped", "") if recorded[0] == "missing" else recorded  # type: ignore[return-value]
    if (folder / ERROR_FILE).is_file():
        return "failed", _last_line(folder / ERROR_FILE)
    return ("done", "") if summary else ("stopped", "")


def _last_line(path: Path) -> str:
    """The message of a traceback; bad input is said without the name of its error."""
    prefix = f"{UserError.__module__}.{UserError.__qualname__}: "
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix(prefix)[:_LONGEST_ERROR] if lines else ""


def _summary(path: Path) -> tuple[dict[str, Any], str]:
    """A run's summary, and what is wrong with it; nothing of a run that did not end."""
    if not path.is_file():
        return {}, ""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        return {}, f"{path.name} cannot be read: {first_line(error)}"
    if not isinstance(content, dict) or not content:
        return {}, f"{path.name} is not what a run leaves"
    return content, ""


def _metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Means by "stage/measure"; of a search the best trial's."""
    given = summary.get("metrics")
    found = dict(given) if isinstance(given, dict) else {}
    if isinstance(tuning := summary.get("tuning"), dict) and isinstance(tuning.get("best"), dict):
        found[f"tune/{tuning.get('metric')}"] = tuning["best"].get("score")
    means = {name: part.get("mean") for name, part in found.items() if isinstance(part, dict)}
    return {name: float(mean) for name, mean in means.items() if isinstance(mean, int | float)}


def _main(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """The first two measures of the last mask; without masks the first two metrics."""
    stages = scored_labels(metrics)
    of_masks = [f"{stages[-1]}/{measure.name}" for measure in MEASURES] if stages else []
    return tuple([name for name in of_masks if name in metrics][:2] or sorted(metrics)[:2])


def _best(done: list[Run]) -> Run | None:
    """The job with the best main score; the first of equals."""
    name = next((job.main[0] for job in done if job.main), None)
    scored = [job for job in done if name in job.metrics]
    if name is None:
        return None
    sign = -1 if lower_is_better(name) else 1
    return max(scored, key=lambda job: sign * job.metrics[name])


def _planned(path: Path) -> int | None:
    """How many jobs a sweep has, those included that never began."""
    try:
        return len(json.loads(path.read_text())["jobs"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None


def _date(summary: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(summary["date"]).astimezone()
    except (KeyError, TypeError, ValueError):
        return None
