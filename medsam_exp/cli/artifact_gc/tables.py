"""Runs, usage and unused artifacts as tables for the console, and as JSON for scripts."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from medsam_exp.cli.artifact_gc.runs import Run
from medsam_exp.cli.artifact_gc.unused import HOUR, Artifact
from medsam_exp.runtime.console import plain_table
from medsam_exp.runtime.json_text import json_text


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
        notes = "\n".join(part for part in (scores, run.note) if part)
        ended = f"{run.when:%Y-%m-%d %H:%M}"
        table.add_row(*map(escape, (run.name, run.status, ended, notes, decimal(run.extent.bytes))))
    return table


def runs_json(runs: Iterable[Run]) -> str:
    """The same with all metrics, sizes in bytes, jobs below their sweeps."""
    return json_text([_as_json(run) for run in runs], indent=1)


def _as_json(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "folder": str(run.folder),
        "status": run.status,
        "said": run.note,
        "ended": run.when.isoformat(timespec="seconds"),
        "bytes": run.extent.bytes,
        "main_metrics": list(run.main),
        "metrics": dict(run.metrics),
        **({"jobs": [_as_json(job) for job in run.jobs]} if run.jobs else {}),
    }


def unused_table(artifacts: Sequence[Artifact]) -> Table:
    """What would be deleted, the largest first."""
    table = plain_table("artifact", ">size", ">files", "why")
    for artifact in sorted(artifacts, key=lambda each: -each.extent.bytes):
        name = f"{artifact.stage}/{artifact.key}"
        table.add_row(name, decimal(artifact.extent.bytes), str(artifact.extent.files), _reason(artifact))
    return table


def _reason(artifact: Artifact) -> str:
    """Why an artifact is offered for deletion, in words."""
    if artifact.half_deleted:
        return "its deletion was interrupted"
    hours = (time.time() - artifact.extent.changed) / HOUR
    age = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    state = "" if artifact.finished else ", never finished"
    return f"no run or configuration names it{state}; last used {age} ago"


def stages_table(stages: Iterable[Mapping[str, Any]]) -> Table:
    """What takes the space, by stage."""
    table = plain_table("stage", ">results", ">size", ">not needed")
    for stage in stages:
        spare = decimal(stage["unneeded_bytes"]) if stage["unneeded_bytes"] else ""
        table.add_row(stage["name"], str(stage["count"]), decimal(stage["bytes"]), spare)
    return table


def usage_table(runs: Iterable[Mapping[str, Any]]) -> Table:
    """What takes the space, by run."""
    table = plain_table("run", ">own files", ">results used", ">by it alone")
    for run in runs:
        sizes = (run["own_bytes"], run["used_bytes"], run["alone_bytes"])
        table.add_row(escape(run["name"]), *map(decimal, sizes))
    return table
