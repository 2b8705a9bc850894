"""What `medsam-exp runs`, `du` and `clean` do."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from medsam_exp.cli.artifact_gc.runs import Run, find_runs, lower_is_better
from medsam_exp.cli.artifact_gc.unused import HOUR, Artifact, Inventory, delete, take_inventory
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.console import open_console, plain_table
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

OWN_CHECKOUT = conf_folder().parent
"""Folder of this package's own conf/, whose configurations count wherever this is started."""
_KEPT = {
    "needed": "that runs or configurations need",
    "computed now": "that a process computes now",
    "recent": "used within the last {:g} hours",
}


@dataclass(frozen=True)
class Places:
    """Folders that belong together.

    Attributes:
        outputs: of runs and sweeps; all that use the artifacts.
        artifacts: of stored results.
    """

    outputs: tuple[Path, ...]
    artifacts: Path

    def inventory(self) -> Inventory:
        """What lies there and what refers to what; also from the configurations here and of this package."""
        checkouts = dict.fromkeys((Path.cwd(), OWN_CHECKOUT))
        return take_inventory(self.outputs, self.artifacts, tuple(checkouts))


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
    return Places(folders, artifacts or outputs / "artifacts")


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
    found = [run for outputs in places.outputs for run in find_runs(outputs, places.artifacts)]
    wanted = [run for run in found if name in run.name and (not status or run.status in status)]
    runs = _sorted(wanted, sort)[:first]
    if as_json:
        print(json_text([_as_json(run) for run in runs], indent=1))
        return
    listed = [each for run in runs for each in (run, *(run.jobs if jobs else ()))]
    console = open_console()
    console.print(_runs_table(listed, sort if "/" in sort else None))
    total = sum(run.extent.bytes for run in runs)
    console.print(f"{len(runs)} runs and sweeps, {decimal(total)} without stored results")


def show_usage(places: Places, *, first: int | None, as_json: bool) -> int:
    """Print what takes the space; return 1 where a file could not be read, so that more may be needed."""
    found = places.inventory()
    stages, runs = _by_stage(found), _by_run(found)
    if as_json:
        print(json_text({"stages": stages, "runs": runs, "unreadable": found.unreadable}, indent=1))
        return 0
    console = open_console()
    console.print(_stages_table(stages))
    console.print(_usage_table(runs[:first]))
    stored, own = sum(stage["bytes"] for stage in stages), sum(run["own_bytes"] for run in runs)
    console.print(f"stored results {decimal(stored)}, {len(runs)} runs and sweeps {decimal(own)}")
    for sentence in found.unreadable:
        console.print(f"{sentence}, so more may be needed than is said here", markup=False)
    return 1 if found.unreadable else 0


def _by_stage(found: Inventory) -> list[dict[str, Any]]:
    """Bytes of each stage's results, and of those that no run or configuration names; the largest first."""
    needed = found.reached_from(found.by_user)
    stages = []
    for name in sorted({artifact.stage for artifact in found.artifacts}):
        own = [artifact for artifact in found.artifacts if artifact.stage == name]
        unneeded = [artifact for artifact in own if artifact not in needed]
        stages.append(
            {"name": name, "count": len(own), "bytes": _bytes(own), "unneeded_bytes": _bytes(unneeded)}
        )
    return sorted(stages, key=lambda stage: -stage["bytes"])


def _by_run(found: Inventory) -> list[dict[str, Any]]:
    """Bytes of each run's folder, of the results that it needs, and of those that nothing else needs."""
    runs = []
    for run in found.runs:
        used = found.reached_from(run.folders)
        alone = used - found.reached_from(set(found.by_user) - set(run.folders))
        runs.append(
            {
                "name": run.name,
                "own_bytes": run.extent.bytes,
                "used_bytes": _bytes(used),
                "alone_bytes": _bytes(alone),
            }
        )
    return sorted(runs, key=lambda run: -(run["own_bytes"] + run["alone_bytes"]))


def clean(places: Places, hours: float, *, ask: bool) -> int:
    """Offer what no run needs, and delete it when that is agreed to; return 1 where something cannot be read.

    Args:
        places: where to look.
        hours: what was used since then is kept.
        ask: whether to ask before anything is deleted.

    Raises:
        UserError: there are no runs, so that nothing would seem to be needed.
    """
    console, found = open_console(), places.inventory()
    if not found.runs:
        raise UserError(
            f"there are no runs below {', '.join(map(str, places.outputs))}, so nothing tells what is needed; give "
            f"the folder of the runs, or delete {places.artifacts} by hand if nothing of it is"
        )
    for sentence in found.unreadable:
        console.print(f"{sentence}; mend or remove it", markup=False)
    if found.unreadable:
        console.print("everything is kept, as what these files need cannot be known")
        return 1
    kinds = found.by_kind(hours)
    for kind, why in _KEPT.items():
        if kept := kinds.get(kind):
            results = "1 result" if len(kept) == 1 else f"{len(kept)} results"
            console.print(f"keeps {results} ({decimal(_bytes(kept))}) {why.format(hours)}", markup=False)
    if early := found.without_keys:
        said = f"{len(early)} runs ended early and do not say what they used: {first_few(early, 5)}"
        console.print(said, markup=False, soft_wrap=True)
    unused = kinds.get("unused", [])
    if not unused:
        console.print(f"nothing to delete in {places.artifacts}", markup=False)
        return 0
    console.print(_unused_table(unused))
    question = f"delete these {len(unused)} from {places.artifacts} ({decimal(_bytes(unused))})?"
    if ask and not _agreed(question):
        console.print("nothing was deleted")
        return 0
    now = places.inventory().by_kind(hours).get("unused", [])  # a run may have begun while the question stood
    freed = [size for artifact in unused if artifact in now and (size := delete(artifact, hours))]
    kept_now = len(unused) - len(freed)
    still = f"; {kept_now} are in use by now and were kept" if kept_now else ""
    console.print(f"deleted {len(freed)} stored results, {decimal(sum(freed))} freed{still}")
    return 0


def _bytes(artifacts: Iterable[Artifact]) -> int:
    return sum(artifact.extent.bytes for artifact in artifacts)


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


def _runs_table(runs: Iterable[Run], metric: str | None) -> Table:
    """One row a run or sweep; a metric stands before each run's own main ones."""
    table = plain_table("run", "status", "ended", "scores", ">size")
    for run in runs:
        shown = list(dict.fromkeys([*([metric] if metric and metric in run.metrics else []), *run.main]))
        scores = ", ".join(f"{name} {run.metrics[name]:.3f}" for name in shown)
        notes = "\n".join(part for part in (scores, run.note) if part)
        ended = f"{run.when:%Y-%m-%d %H:%M}"
        table.add_row(*map(escape, (run.name, run.status, ended, notes, decimal(run.extent.bytes))))
    return table


def _as_json(run: Run) -> dict[str, Any]:
    """The same with all metrics, sizes in bytes, jobs below their sweep."""
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


def _unused_table(artifacts: Sequence[Artifact]) -> Table:
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


def _stages_table(stages: Iterable[Mapping[str, Any]]) -> Table:
    """What takes the space, by stage."""
    table = plain_table("stage", ">results", ">size", ">not needed")
    for stage in stages:
        spare = decimal(stage["unneeded_bytes"]) if stage["unneeded_bytes"] else ""
        table.add_row(stage["name"], str(stage["count"]), decimal(stage["bytes"]), spare)
    return table


def _usage_table(runs: Iterable[Mapping[str, Any]]) -> Table:
    """What takes the space, by run."""
    table = plain_table("run", ">own files", ">results used", ">by it alone")
    for run in runs:
        sizes = (run["own_bytes"], run["used_bytes"], run["alone_bytes"])
        table.add_row(escape(run["name"]), *map(decimal, sizes))
    return table
