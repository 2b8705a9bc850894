"""`python -m experiments.reproduce TABLE... [--on SCALE] [OPTION=VALUE...]`: say what is missing, run, compare."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.reproduce import __doc__ as about
from experiments.reproduce.expected import PAPER, read_expected
from experiments.reproduce.launch import launch, share_cores
from experiments.reproduce.plan import Sweep, Table, known_tables, read_table
from experiments.reproduce.preflight import Missing, find_missing, missing_lines
from experiments.reproduce.renew import renew
from experiments.reproduce.results import read_results
from experiments.reproduce.sheets import lines_of, misses, sheets_of, write_table
from medsam_exp.metrics.measures import DISCLAIMER
from medsam_exp.runtime.console import open_console
from medsam_exp.sweep.collect import print_sheet
from medsam_exp.types import UserError

ALL = "all"
_NO_MATTER = ("paths.", "logger", "workers")
"""Options that leave the results as they are."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Reproduce tables; exit non-zero when a job failed or a committed figure was missed."""
    given = _parser().parse_intermixed_args(arguments)
    options = [name for name in given.names if "=" in name]
    changing = [option for option in options if not option.startswith(_NO_MATTER)]
    share_cores(given.processes)
    try:
        if given.renew and changing:
            raise UserError(
                f"--renew commits what the table's own options give, so leave {', '.join(changing)} away"
            )
        tables = _tables([name for name in given.names if "=" not in name], given.on, options)
        found = _preflight(tables)
        if given.needs:
            return
        folder, failed = given.output / given.on, []
        if not given.read:
            ready = [sweep for table in tables for sweep in table.sweeps if not found[sweep].blocked]
            failed = launch(ready, folder / "logs", given.processes, _print)
        missed = [line for table in tables for line in _compare(table, folder / table.name, given.renew)]
    except UserError as error:
        sys.exit(f"error: {error}")
    _print(f"files: {folder}\n{DISCLAIMER}")
    if failed or (missed and given.on != PAPER and not changing):
        sys.exit("error: " + "\n       ".join([*failed, *missed]))


def _tables(wanted: Sequence[str], scale: str, options: Sequence[str]) -> list[Table]:
    """The tables asked for; `all` are those that the scale has."""
    if list(wanted) == [ALL]:
        wanted = [name for name, scales in known_tables().items() if scale in scales]
    if not wanted:
        raise UserError(f"name a table, or {ALL}; there are {', '.join(known_tables())}")
    return [read_table(name, scale, options) for name in wanted]


def _preflight(tables: Sequence[Table]) -> dict[Sweep, Missing]:
    """Print what is missing before anything runs."""
    found = {sweep: find_missing(sweep) for table in tables for sweep in table.sweeps}
    for sentence in missing_lines(tables, found):
        _print(f"missing  {sentence}")
    blocked = sum(missing.blocked for missing in found.values())
    _print(f"{len(found) - blocked} of {len(found)} sweeps can run")
    return found


def _compare(table: Table, folder: Path, renewed: bool) -> list[str]:
    """Print and write a table; return what was missed."""
    results = read_results(table)
    if renewed:
        renew(table, results)
    expected = read_expected(table.name, table.scale)
    lines = lines_of(table, results, expected)
    sheets = sheets_of(table, lines, results, expected)
    write_table(table, lines, sheets, folder)
    console = open_console()
    for sheet in sheets.values():
        print_sheet(sheet, console)
    return misses(table, lines, results)


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.reproduce", description=about)
    parser.add_argument(
        "names", nargs="+", metavar="TABLE", help=f"tables, or {ALL}; then options of run.py, KEY=VALUE"
    )
    parser.add_argument(
        "--on", default=PAPER, metavar="SCALE", help="paper (default), phantom, phantom-large"
    )
    parser.add_argument("--processes", type=int, default=1, help="sweeps that run at once (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("outputs/reproduce"), help="where tables go")
    parser.add_argument("--renew", action="store_true", help="commit what was measured as what to expect")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--needs", action="store_true", help="only say what is missing")
    only.add_argument("--read", action="store_true", help="run nothing, read back what is there")
    return parser


if __name__ == "__main__":
    main()
