"""The figures of a table, read back from the folders of its sweeps."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scipy.stats import t

from experiments.reproduce.expected import Key, average
from experiments.reproduce.plan import Cells, Sweep, Table
from medsam_exp.report.finished_run import mark_of
from medsam_exp.sweep.read import SEED, Job, read_sweep
from medsam_exp.sweep.status import SWEEP_FILE
from medsam_exp.types import UserError

NOT_STARTED = "did not run"


@dataclass(frozen=True)
class Figure:
    """A measured score.

    Attributes:
        mean: over images, or over seeds of the means over images.
        std: over the same.
        ci95: 95 % confidence interval of the mean: by bootstrap over images or patients, or Student's over seeds; None
            where there is none.
        n: images, or pairs of a retrieval.
        seeds: how many runs it is over.
        patients: whose the images are; None where that is unknown.
        supervision: of the masks; "" where the runs do not say it.
    """

    mean: float
    std: float | None
    ci95: tuple[float, float] | None
    n: int
    seeds: int = 1
    patients: int | None = None
    supervision: str = ""


@dataclass(frozen=True)
class Results:
    """What a table's sweeps left.

    Attributes:
        figures: by row, column and measure.
        lost: why there is no figure, by row and column.
    """

    figures: Mapping[Key, Figure]
    lost: Mapping[tuple[str, str], str]


def read_results(table: Table) -> Results:
    """Read what is there of a table; what failed or never ran is named."""
    figures: dict[Key, Figure] = {}
    lost: dict[tuple[str, str], str] = {}
    for sweep in table.sweeps:
        jobs = _jobs(sweep)
        for row in sweep.rows:
            for column in sweep.columns:
                own = [job for job in jobs if _is_of(job, row) and _is_of(job, column)]
                found = _of_jobs(own, table.measures, row.stage or sweep.stage)
                figures |= {(row.label, column.label, name): figure for name, figure in found.items()}
                if errors := [job.error for job in own if job.error] or ([] if own else [NOT_STARTED]):
                    more = f" ({len(errors)} of {len(own)} runs)" if len(own) > 1 else ""
                    lost[row.label, column.label] = f"{errors[0]}{more}"
    return Results(figures | _averages(table, figures), lost)


def _jobs(sweep: Sweep) -> Sequence[Job]:
    folder = sweep.folder()
    return read_sweep([folder]).jobs if (folder / SWEEP_FILE).is_file() else ()


def _is_of(job: Job, cells: Cells) -> bool:
    own = {key.lstrip("+"): value for key, value in job.values.items()}
    return all(own.get(axis) == value for axis, value in cells.where.items())


def _of_jobs(jobs: Sequence[Job], measures: Mapping[str, str], stage: str) -> dict[str, Figure]:
    """Each measure of jobs that differ by their seeds alone."""
    points = {tuple(value for key, value in job.values.items() if key != SEED) for job in jobs}
    if len(points) > 1:
        raise UserError(
            f"{jobs[0].folder.parent} has {len(points)} jobs for one cell; name what tells them apart"
        )
    found = {}
    for heading, measure in measures.items():
        name = measure if "/" in measure else f"{stage}/{measure}"
        each = [job.run.summary["metrics"].get(name) for job in jobs if job.error is None]
        marks = dict.fromkeys(filter(None, (mark_of(job.run, name.partition("/")[0]) for job in jobs)))
        if scores := [score for score in each if score is not None]:
            found[heading] = replace(_figure(scores), supervision=", ".join(marks))
    return found


def _figure(scores: Sequence[Mapping[str, Any]]) -> Figure:
    if len(scores) == 1:
        own = scores[0]
        bounds = own["ci95"] and (own["ci95"][0], own["ci95"][1])
        return Figure(own["mean"], own["std"], bounds, own["n"], patients=own.get("patients"))
    means = [score["mean"] for score in scores]
    mean, std = statistics.mean(means), statistics.stdev(means)
    half = float(t.ppf(0.975, len(means) - 1)) * std / math.sqrt(len(means))
    return Figure(
        mean, std, (mean - half, mean + half), scores[0]["n"], len(means), scores[0].get("patients")
    )


def _averages(table: Table, figures: Mapping[Key, Figure]) -> dict[Key, Figure]:
    """The column that is the mean of the others, for rows that have all of them."""
    if table.average is None:
        return {}
    columns = list(dict.fromkeys(column.label for sweep in table.sweeps for column in sweep.columns))
    made = {}
    for row, measure in dict.fromkeys((row, measure) for row, _, measure in figures):
        own = [figures.get((row, column, measure)) for column in columns]
        known = [figure for figure in own if figure is not None]
        if len(known) == len(columns):
            mean, std = average((figure.mean, figure.std) for figure in known)
            made[row, table.average, measure] = Figure(mean, std, None, sum(figure.n for figure in known))
    return made
