"""What `medsam-exp runs`, `du` and `clean` do."""

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.filesize import decimal

from medsam_exp.cli.artifact_gc import tables
from medsam_exp.cli.artifact_gc.runs import Run, lower_is_better
from medsam_exp.cli.artifact_gc.unused import Places, delete, find_unused
from medsam_exp.cli.artifact_gc.usage import usage
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.console import open_console
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

OWN_CHECKOUT = conf_folder().parent
"""Folder of this package's own conf/, whose configurations count wherever this is started."""


def places_of(outputs: Path, artifacts: Path | None, also: Sequence[Path]) -> Places:
    """Folders that belong together.

    Args:
        outputs: folder of runs and sweeps.
        artifacts: folder of stored results; None for the one in `outputs`.
        also: further folders of runs that use them.

    Raises:
        UserError: a folder does not exist.
    """
    folders = (outputs, *also)
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise UserError(f"{', '.join(missing)} is no folder; give the one with runs and sweeps")
    checkouts = tuple(dict.fromkeys((Path.cwd(), OWN_CHECKOUT)))
    return Places(folders, artifacts or outputs / "artifacts", checkouts)


def list_runs(
    places: Places,
    sort: str,
    status: Collection[str],
    name: str,
    *,
    jobs: bool,
    first: int | None,
    as_json: bool,
) -> None:
    """Print runs and sweeps.

    Args:
        places: where they are.
        sort: when, name, status, size, or a metric.
        status: only these; empty for all.
        name: only those with this in their path.
        jobs: whether to print the jobs of sweeps, too.
        first: rows at most.
        as_json: for scripts.

    Raises:
        UserError: no run has the metric to sort by.
    """
    runs = [run for run in places.runs() if not status or run.status in status]
    runs = _sorted([run for run in runs if name in run.name], sort)[:first]
    if as_json:
        print(tables.runs_json(runs))
        return
    listed = [each for run in runs for each in (run, *(run.jobs if jobs else ()))]
    console = open_console()
    console.print(tables.runs_table(listed, sort if "/" in sort else None))
    total = sum(run.extent.bytes for run in runs)
    console.print(f"{len(runs)} runs and sweeps, {decimal(total)} without stored results")


def show_usage(places: Places, *, first: int | None, as_json: bool) -> int:
    """Print what takes the space; return 1 where a file could not be read, so that more may be needed."""
    found = usage(places)
    if as_json:
        print(json_text(asdict(found), indent=1))
        return 0
    console = open_console()
    for table in tables.usage_tables(found.stages, found.runs[:first]):
        console.print(table)
    stored, own = sum(stage.bytes for stage in found.stages), sum(run.own_bytes for run in found.runs)
    console.print(f"stored results {decimal(stored)}, {len(found.runs)} runs and sweeps {decimal(own)}")
    for sentence in found.unreadable:
        console.print(f"{sentence}, so more may be needed than is said here", markup=False)
    return 1 if found.unreadable else 0


def clean(places: Places, hours: float, *, ask: bool) -> int:
    """Offer what no run needs, and delete it when that is agreed to; return 1 where something cannot be read.

    Args:
        places: where to look.
        hours: what was used since then is kept.
        ask: whether to ask before anything is deleted.
    """
    console, found = open_console(), find_unused(places, hours)
    for sentence in found.unreadable:
        console.print(f"{sentence}; mend or remove it", markup=False)
    if found.unreadable:
        console.print("everything is kept, as what these files need cannot be known")
        return 1
    for sentence in tables.kept_sentences(found, hours):
        console.print(sentence, markup=False, soft_wrap=True)
    if not found.unused:
        console.print(f"nothing to delete in {places.artifacts}", markup=False)
        return 0
    console.print(tables.unused_table(found.unused, time.time()))
    size = decimal(sum(artifact.extent.bytes for artifact in found.unused))
    if ask and not _agreed(f"delete these {len(found.unused)} from {places.artifacts} ({size})?"):
        console.print("nothing was deleted")
        return 0
    now = set(find_unused(places, hours).unused)  # a run may have begun while the question stood
    freed = [delete(artifact, hours) for artifact in found.unused if artifact in now]
    kept = len(found.unused) - sum(map(bool, freed))
    still = f"; {kept} are in use by now and were kept" if kept else ""
    console.print(f"deleted {len(found.unused) - kept} stored results, {decimal(sum(freed))} freed{still}")
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")
    except EOFError:  # nobody is there to ask
        print()
        return False


def _sorted(runs: list[Run], by: str) -> list[Run]:
    """Newest, largest or best first; by name and status from A to Z; without the metric last."""
    if by in ("when", "size"):
        return sorted(runs, key=lambda run: run.when.timestamp() if by == "when" else run.extent.bytes)[::-1]
    if by in ("name", "status"):
        return sorted(runs, key=lambda run: (getattr(run, by), run.name))
    known = sorted({name for run in runs for name in run.metrics})
    if by not in known:
        raise UserError(f"no run has {by}; sort by when, name, status, size, or {', '.join(known) or 'none'}")
    sign = 1 if lower_is_better(by) else -1
    return sorted(runs, key=lambda run: sign * run.metrics[by] if by in run.metrics else float("inf"))
