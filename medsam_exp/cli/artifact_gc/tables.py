"""Runs, usage and unused artifacts as tables for the console, and as JSON for scripts."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from medsam_exp.cli.artifact_gc.runs import Run
from medsam_exp.cli.artifact_gc.unused import Artifact, UnusedArtifacts, reason
from medsam_exp.cli.artifact_gc.usage import RunUsage, StageUsage
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.wording import first_few


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


def unused_table(artifacts: Sequence[Artifact], now: float) -> Table:
    """What would be deleted, the largest first."""
    table = plain_table("artifact", ">size", ">files", "why")
    for artifact in sorted(artifacts, key=lambda each: -each.extent.bytes):
        name = f"{artifact.stage}/{artifact.key}"
        size, files = decimal(artifact.extent.bytes), str(artifact.extent.files)
        table.add_row(name, size, files, reason(artifact, now))
    return table


def kept_sentences(found: UnusedArtifacts, hours: float) -> list[str]:
    """What is kept and why, one sentence each."""
    sentences = [f"keeps {_amount(found.needed)} that runs or configurations need"] if found.needed else []
    if found.computed_now:
        sentences.append(f"keeps {_amount(found.computed_now)} that a process computes now")
    if found.recent:
        sentences.append(f"keeps {_amount(found.recent)} used within the last {hours:g} hours")
    if found.without_keys:
        named = first_few(found.without_keys, 5)
        sentences.append(f"{len(found.without_keys)} runs ended early and do not say what they used: {named}")
    return sentences


def usage_tables(stages: Sequence[StageUsage], runs: Sequence[RunUsage]) -> list[Table]:
    """What takes the space: by stage, and by run."""
    by_stage = plain_table("stage", ">results", ">size", ">not needed")
    for stage in stages:
        spare = decimal(stage.unneeded_bytes) if stage.unneeded_bytes else ""
        by_stage.add_row(stage.name, str(stage.count), decimal(stage.bytes), spare)
    by_run = plain_table("run", ">own files", ">results used", ">by it alone")
    for run in runs:
        sizes = (run.own_bytes, run.used_bytes, run.alone_bytes)
        by_run.add_row(escape(run.name), *map(decimal, sizes))
    return [by_stage, by_run]


def _amount(artifacts: Sequence[Artifact]) -> str:
    results = "1 result" if len(artifacts) == 1 else f"{len(artifacts)} results"
    return f"{results} ({decimal(sum(artifact.extent.bytes for artifact in artifacts))})"


def plain_table(*headings: str) -> Table:
    """A plain table; a heading that begins with ">" stands over numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(heading.lstrip(">"), justify="right" if number else "left", overflow="fold")
    return table
