"""One tidy table of a sweep: a row for each job, image and stage; and one for each job and stage."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medsam_exp.data.tables import no_formula
from medsam_exp.report.finished_run import finite, mark_of
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.extras import missing
from medsam_exp.sweep.read import Job, SweepResults

NO_PARQUET = f"{missing('pyarrow')}; tables are written as CSV alone."
_OWN_COLUMNS = ("job", "id", "stage")
_SUPERVISION = "supervision"
_WORDS = {"class_name", "image_id", "patient"}
_LEFT_OUT = {"text"}  # long, and the same in every stage; it stands in each run's per_image.csv


def images_table(sweep: SweepResults) -> pd.DataFrame:
    """All scores of all images.

    Returns:
        `job`, a column for each axis (text), `id`, `stage`, then everything that per_image.csv says of the image but
        its text, as numbers; empty where it says nothing. Ordered by job, then as in per_image.csv. An axis that is
        called like another column has `_choice` added to its name.
    """
    names = _score_names(sweep.finished)
    axes = _axis_columns(sweep, {*_OWN_COLUMNS, *names})
    rows: list[dict[str, Any]] = []
    for job in sweep.finished:
        head = {"job": job.number, **{axes[axis]: value for axis, value in job.values.items()}}
        for row in job.run.rows:
            scores = {name: _value(name, row.get(name)) for name in names}
            rows.append({**head, "id": row["id"], "stage": row["stage"], **scores})
    return pd.DataFrame(rows, columns=["job", *axes.values(), "id", "stage", *names])


def jobs_table(sweep: SweepResults) -> pd.DataFrame:
    """What each run's summary says.

    Returns:
        `job`, a column for each axis, `status` ("done" or "unfinished"), `error`, `stage`, `supervision` (of its
        masks; empty where the run does not say it), and for each measure of the stage `<measure>_mean`, `_std`,
        `_ci95_low`, `_ci95_high` (empty where there is no interval), `_n`
        and, where they are known, `_patients`. A job without results has one row.
    """
    rows: list[dict[str, Any]] = []
    axes = _axis_columns(sweep, {"job", "status", "error", "stage", _SUPERVISION})
    for job in sweep.jobs:
        head: dict[str, Any] = {
            "job": job.number,
            **{axes[axis]: value for axis, value in job.values.items()},
        }
        head |= {"status": "done" if job.error is None else "unfinished", "error": job.error or ""}
        stages = _stage_figures(job) or {"": {}}
        rows += [
            {**head, "stage": stage, _SUPERVISION: mark_of(job.run, stage), **figures}
            for stage, figures in stages.items()
        ]
    first = ["job", *axes.values(), "status", "error", "stage", _SUPERVISION]
    figures = sorted({name for row in rows for name in row} - set(first), key=_figure_order)
    return pd.DataFrame(rows, columns=[*first, *figures])


def write_table(table: pd.DataFrame, path: Path) -> list[Path]:
    """Write a table as CSV and Parquet, byte by byte the same for the same table.

    Args:
        table: to write.
        path: without a suffix.

    Returns:
        The files; the CSV alone where pyarrow is not installed.
    """
    csv = path.with_name(f"{path.name}.csv")
    texts = {
        str(name): table[name].map(no_formula)
        for name in table
        if not pd.api.types.is_numeric_dtype(table[name])
    }
    write_atomically(csv, table.assign(**texts).to_csv(index=False, lineterminator="\n").encode())
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError:
        return [csv]
    parquet = path.with_name(f"{path.name}.parquet")
    write_atomically(parquet, buffer.getvalue())
    return [csv, parquet]


def _score_names(jobs: Sequence[Job]) -> list[str]:
    """Columns of per_image.csv in the order of the first run that has them."""
    names = dict.fromkeys(
        name for job in jobs for row in job.run.rows[:1] for name in row if name is not None
    )
    return [name for name in names if name not in {"id", "stage", *_LEFT_OUT}]


def _axis_columns(sweep: SweepResults, taken: set[str]) -> dict[str, str]:
    return {axis: f"{axis}_choice" if axis in taken else axis for axis in sweep.axes}


def _value(name: str, written: str | None) -> float | str | None:
    """A cell of per_image.csv as a number; "True" and "False" of a fact are 1 and 0."""
    if name in _WORDS:
        return written
    return {"True": 1.0, "False": 0.0}.get(written or "", finite(written))


def _stage_figures(job: Job) -> dict[str, dict[str, float | None]]:
    """Figures by stage, of a run's summary; the part before the first slash of a name is its stage."""
    found: dict[str, dict[str, float | None]] = {}
    for name, figure in job.run.summary.get("metrics", {}).items():
        stage, _, measure = name.partition("/")
        low, high = figure["ci95"] or (None, None)
        parts = {"mean": figure["mean"], "std": figure["std"], "ci95_low": low, "ci95_high": high}
        parts |= {part: figure[part] for part in ("n", "patients") if part in figure}
        found.setdefault(stage, {}).update({f"{measure}_{part}": value for part, value in parts.items()})
    return found


def _figure_order(name: str) -> tuple[str, int]:
    parts = ("_mean", "_std", "_ci95_low", "_ci95_high", "_n", "_patients")
    part = next(index for index, end in enumerate(parts) if name.endswith(end))
    return name.removesuffix(parts[part]), part
