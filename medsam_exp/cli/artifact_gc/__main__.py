"""Look after outputs/: `medsam-exp runs|clean|du [OUTPUTS] [options]`.

`runs` lists runs and sweeps, `du` says what takes the space, `clean` deletes stored results that no run, sweep or
configuration needs, after asking. Runs and sweeps themselves are never deleted.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from medsam_exp.cli.artifact_gc import tables
from medsam_exp.cli.artifact_gc.runs import Run, lower_is_better
from medsam_exp.cli.artifact_gc.unused import Places, delete, survey
from medsam_exp.cli.artifact_gc.usage import usage
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.console import open_console
from medsam_exp.runtime.interrupts import stops_when_asked
from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.sizes import readable
from medsam_exp.types import UserError

OWN_CHECKOUT = conf_folder().parent
"""Folder of this package's own conf/, whose configurations count wherever this is started."""
_STATUS = ("done", "running", "failed", "stopped", "unreadable")


@stops_when_asked(hint="")
def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; return its exit code, 1 where something could not be read."""
    given = _parser().parse_args(arguments)
    artifacts = given.artifacts or given.outputs / "artifacts"
    checkouts = tuple(dict.fromkeys((Path.cwd(), OWN_CHECKOUT)))
    places = Places((given.outputs, *given.also), artifacts, checkouts)
    try:
        if missing := [str(folder) for folder in places.outputs if not folder.is_dir()]:
            raise UserError(f"{', '.join(missing)} is no folder; give the one with runs and sweeps")
        return int(given.do(places, given))
    except UserError as error:
        sys.exit(f"error: {error}")


def list_runs(places: Places, given: argparse.Namespace) -> int:
    """List runs and sweeps."""
    runs = [run for run in places.runs() if not given.status or run.status in given.status]
    runs = _sorted([run for run in runs if given.name in run.name], given.sort)[: given.first]
    if given.json:
        print(tables.runs_json(runs))
        return 0
    listed = [each for run in runs for each in (run, *(run.jobs if given.jobs else ()))]
    console = open_console()
    console.print(tables.runs_table(listed, given.sort if "/" in given.sort else None))
    total = sum(run.extent.bytes for run in runs)
    console.print(f"{len(runs)} runs and sweeps, {readable(total)} without stored results")
    return 0


def show_usage(places: Places, given: argparse.Namespace) -> int:
    """Say what takes the space."""
    found = usage(places)
    if given.json:
        print(json_text(asdict(found), indent=1))
        return 0
    console = open_console()
    for table in tables.usage_tables(found.stages, found.runs[: given.first]):
        console.print(table)
    stored, own = sum(stage.bytes for stage in found.stages), sum(run.own_bytes for run in found.runs)
    console.print(f"stored results {readable(stored)}, {len(found.runs)} runs and sweeps {readable(own)}")
    for sentence in found.unreadable:
        console.print(f"{sentence}, so more may be needed than is said here", markup=False)
    return 1 if found.unreadable else 0


def clean(places: Places, given: argparse.Namespace) -> int:
    """Offer what nobody needs, and delete it when that is agreed to."""
    console, found = open_console(), survey(places, given.hours)
    for sentence in found.unreadable:
        console.print(f"{sentence}; mend or remove it", markup=False)
    if found.unreadable:
        console.print("everything is kept, as what these files need cannot be known")
        return 1
    for sentence in tables.survey_sentences(found, given.hours):
        console.print(sentence, markup=False, soft_wrap=True)
    if not found.stale:
        console.print(f"nothing to delete in {places.artifacts}", markup=False)
        return 0
    console.print(tables.stale_table(found.stale, time.time()))
    size = readable(sum(artifact.extent.bytes for artifact in found.stale))
    if not given.yes and not _agreed(f"delete these {len(found.stale)} from {places.artifacts} ({size})?"):
        console.print("nothing was deleted")
        return 0
    now = set(survey(places, given.hours).stale)  # a run may have begun while the question stood
    freed = [delete(artifact, given.hours) for artifact in found.stale if artifact in now]
    kept = len(found.stale) - sum(map(bool, freed))
    still = f"; {kept} are in use by now and were kept" if kept else ""
    console.print(f"deleted {len(found.stale) - kept} stored results, {readable(sum(freed))} freed{still}")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medsam-exp",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="runs|clean|du")
    runs = _command(commands, "runs", list_runs, "list runs and sweeps: status, when, main scores, size")
    runs.add_argument("--sort", default="when", help="when, name, status, size, or a metric such as sam/dsc")
    runs.add_argument("--status", action="append", choices=_STATUS, help="only these; may be given again")
    runs.add_argument("--name", default="", help="only those with this in their path")
    runs.add_argument("--jobs", action="store_true", help="list the jobs of sweeps, too")
    du = _command(commands, "du", show_usage, "say what takes the space, by stage and by run")
    for command in (runs, du):
        command.add_argument("--first", type=int, metavar="N", help="no more than N rows")
        command.add_argument("--json", action="store_true", help="for scripts")
    cleaner = _command(commands, "clean", clean, "delete stored results that nobody needs, after asking")
    cleaner.add_argument("--yes", action="store_true", help="do not ask")
    cleaner.add_argument(
        "--hours", type=float, default=12.0, help="keep what was used since then (default 12)"
    )
    return parser


def _command(commands, name, do, about):  # type: ignore[no-untyped-def]
    """A command with the options that all have."""
    command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    command.set_defaults(do=do)
    outputs = Path(os.environ.get("MEDSAM_OUTPUTS", "outputs"))
    command.add_argument("outputs", type=Path, nargs="?", default=outputs, help="folder of runs and sweeps")
    command.add_argument("--artifacts", type=Path, help="stored results, if not OUTPUTS/artifacts")
    command.add_argument(
        "--also", type=Path, action="append", default=[], metavar="FOLDER", help="further runs that use them"
    )
    return command


if __name__ == "__main__":
    sys.exit(main())
