"""Housekeeping on the console, and as JSON for scripts."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from medsam_exp.cli.artifact_gc.artifacts import Artifact
from medsam_exp.cli.artifact_gc.runs import Run
from medsam_exp.cli.artifact_gc.unused import Survey, reason
from medsam_exp.cli.artifact_gc.usage import RunUsage, StageUsage
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.sizes import readable

_NAMED = 5  # files in a sentence


def runs_table(runs: Iterable[Run], metric: str | None) -> Table:
    """One row a run or sweep; jobs of a sweep stand indented below it where they are listed.

    Args:
        runs: in order.
        metric: shown beside each run's own main ones; None for these alone.
    """
    table = plain_table("run", "status", "ended", "scores", ">size")
    for run in runs:
        shown = list(dict.fromkeys([*([metric] if metric and metric in run.metrics else []), *run.main]))
        scores = ", ".join(f"{name} {run.metrics[name]:.3f}" for name in shown)
        notes = "\n".join(part for part in (scores, run.said) if part)
        ended = f"{run.when:%Y-%m-%d %H:%M}"
        table.add_row(*map(escape, (run.name, run.status, ended, notes, readable(run.extent.bytes))))
    return table


def runs_json(runs: Iterable[Run]) -> str:
    """The same with all metrics, sizes in bytes, jobs below their sweeps."""
    return json_text([_as_json(run) for run in runs], indent=1)


def _as_json(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "folder": str(run.folder),
        "status": run.status,
        "said": run.said,
        "ended": run.when.isoformat(timespec="seconds"),
        "bytes": run.extent.bytes,
        "main_metrics": list(run.main),
        "metrics": dict(run.metrics),
        **({"jobs": [_as_json(job) for job in run.jobs]} if run.jobs else {}),
    }


def stale_table(artifacts: Sequence[Artifact], now: float) -> Table:
    """What would be deleted, the largest first."""
    table = plain_table("artifact", ">size", ">files", "why")
    for artifact in sorted(artifacts, key=lambda each: -each.extent.bytes):
        name = f"{artifact.stage}/{artifact.key}"
        size, files = readable(artifact.extent.bytes), str(artifact.extent.files)
        table.add_row(name, size, files, reason(artifact, now))
    return table


def survey_sentences(found: Survey, hours: float) -> list[str]:
    """What is kept and why, one sentence each."""
    said = [f"keeps {_amount(found.needed)} that runs or configurations need"] if found.needed else []
    if found.busy:
        said.append(f"keeps {_amount(found.busy)} that a process computes now")
    if found.young:
        said.append(f"keeps {_amount(found.young)} used within the last {hours:g} hours")
    if found.silent:
        named = ", ".join(map(str, found.silent[:_NAMED])) + (", ..." if len(found.silent) > _NAMED else "")
        said.append(f"{len(found.silent)} runs ended early and do not say what they used: {named}")
    return said


def usage_tables(stages: Sequence[StageUsage], runs: Sequence[RunUsage]) -> list[Table]:
    """What takes the space: by stage, and by run."""
    by_stage = plain_table("stage", ">results", ">size", ">not needed")
    for stage in stages:
        spare = readable(stage.unneeded_bytes) if stage.unneeded_bytes else ""
        by_stage.add_row(stage.name, str(stage.count), readable(stage.bytes), spare)
    by_run = plain_table("run", ">own files", ">results used", ">by it alone")
    for run in runs:
        sizes = (run.own_bytes, run.used_bytes, run.alone_bytes)
        by_run.add_row(escape(run.name), *map(readable, sizes))
    return [by_stage, by_run]


def _amount(artifacts: Sequence[Artifact]) -> str:
    results = "1 result" if len(artifacts) == 1 else f"{len(artifacts)} results"
    return f"{results} ({readable(sum(artifact.extent.bytes for artifact in artifacts))})"


def plain_table(*headings: str) -> Table:
    """A plain table; a heading that begins with ">" stands over numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if number else "left", overflow="fold")
    return table
