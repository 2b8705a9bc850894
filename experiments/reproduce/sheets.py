"""Ours beside the reference: what is printed, and the same as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.reproduce.expected import PAPER, Expected, Key, Reference
from experiments.reproduce.plan import Table
from experiments.reproduce.results import Figure, Results
from medsam_exp.metrics.measures import DISCLAIMER, MISSING
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.sweep.sheets import Sheet, TableCell, markdown, signed_difference, write_sheet

_MARK = "†"


@dataclass(frozen=True)
class Line:
    """One cell of a table, ours and theirs.

    Attributes:
        key: row, column, measure.
        ours: measured; None where there is nothing.
        reference: to compare with; None where there is nothing.
        difference: ours - reference, in the reference's unit; None without one of them.
        within: whether the difference is within the tolerance; None without a difference or a tolerance.
    """

    key: Key
    ours: Figure | None
    reference: Reference | None
    difference: float | None = None
    within: bool | None = None


def lines_of(table: Table, results: Results, expected: Expected) -> list[Line]:
    """All cells in the order of the reference, then those that only we have."""
    keys = dict.fromkeys([*expected.cells, *results.figures])
    return [_line(table, key, results.figures.get(key), expected) for key in keys]


def misses(table: Table, lines: Sequence[Line], results: Results) -> list[str]:
    """Committed figures that were not reached again, and figures that could not be measured."""
    missed = []
    for line in lines:
        row, column, measure = line.key
        if line.reference is not None and line.within is not True and row not in table.absent:
            why = results.lost.get((row, column), "was not measured")
            got = why if line.difference is None else f"is {line.difference:+.3g} away"
            missed.append(f"{table.name}, {row}, {column}, {measure}: {got}")
    return missed


def sheets_of(table: Table, lines: Sequence[Line], results: Results, expected: Expected) -> dict[str, Sheet]:
    """One sheet for each measure, by file name without suffix."""
    made = {}
    for measure in table.measures:
        own = [line for line in lines if line.key[2] == measure]
        name = "".join(sign if sign.isalnum() else "_" for sign in measure.lower()).strip("_")
        made[name] = _sheet(table, measure, own, results, expected)
    return made


def write_table(table: Table, lines: Sequence[Line], sheets: dict[str, Sheet], folder: Path) -> list[Path]:
    """Write a table's sheets in every format, all of them in one table.md, and everything in table.json."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [file for name, sheet in sheets.items() for file in write_sheet(sheet, folder / name)]
    content = {
        "table": table.name,
        "scale": table.scale,
        "unit": "percent" if table.percent else "share",
        "commands": [sweep.command for sweep in table.sweeps],
        "cells": [_as_json(table, line) for line in lines],
    }
    write_atomically(folder / "table.json", json.dumps(content, indent=1).encode())
    pages = "\n".join(map(markdown, sheets.values()))
    write_atomically(folder / "table.md", f"# {table.title}\n\n{pages}\n{DISCLAIMER}\n".encode())
    return [*files, folder / "table.json", folder / "table.md"]


def _line(table: Table, key: Key, ours: Figure | None, expected: Expected) -> Line:
    reference = expected.cells.get(key)
    if ours is None or reference is None:
        return Line(key, ours, reference)
    difference = ours.mean * _unit(table) - reference.compared
    tolerance = expected.tolerance.get(key[2])
    return Line(key, ours, reference, difference, None if tolerance is None else abs(difference) <= tolerance)


def _sheet(table: Table, measure: str, lines: Sequence[Line], results: Results, expected: Expected) -> Sheet:
    theirs = "paper" if table.scale == PAPER else "committed"
    tolerance = expected.tolerance.get(measure)
    judged = () if tolerance is None else (f"within {tolerance:g}",)
    marked = any(line.ours is not None and line.ours.supervision for line in lines)
    names = ("", "images", *(["supervision"] if marked else []))
    header = (*names, "ours", "95 % CI", "n", theirs, "difference", *judged)
    shown = [_items(table, line, judged=tolerance is not None, marked=marked) for line in lines]
    title = f"{table.title}: {measure}{' (%)' if table.percent else ''}"
    return Sheet(title, header, len(names), tuple(shown), tuple(_notes(table, lines, results, expected)))


def _items(table: Table, line: Line, *, judged: bool, marked: bool) -> tuple[TableCell, ...]:
    row, column, _ = line.key
    mark = (line.ours.supervision if line.ours else "") or MISSING
    return (
        *map(TableCell, (row, column, *([mark] if marked else []))),
        *_ours(table, line.ours),
        TableCell(_theirs(table, line.reference)),
        TableCell(
            MISSING if line.difference is None else signed_difference(line.difference, _decimals(table))
        ),
        *([TableCell({True: "yes", False: "no", None: MISSING}[line.within])] if judged else []),
    )


def _ours(table: Table, figure: Figure | None) -> Iterable[TableCell]:
    if figure is None:
        return TableCell(MISSING), TableCell(""), TableCell("")
    low, high = figure.ci95 or (None, None)
    interval = "" if low is None else f"[{_number(table, low)}, {_number(table, high)}]"
    patients = "" if figure.patients is None else f" ({figure.patients} patients)"
    seeds = f" x {figure.seeds} seeds" if figure.seeds > 1 else ""
    return (
        TableCell(_with_std(table, figure.mean, figure.std)),
        TableCell(interval),
        TableCell(f"{figure.n}{patients}{seeds}"),
    )


def _theirs(table: Table, reference: Reference | None) -> str:
    if reference is None:
        return MISSING
    decimals = _decimals(table)
    spread = "" if reference.std is None else f" ± {reference.std:.{decimals}f}"
    return f"{reference.mean:.{decimals}f}{spread}{_MARK if reference.follows is not None else ''}"


def _notes(table: Table, lines: Sequence[Line], results: Results, expected: Expected) -> Iterable[str]:
    if expected.source:
        yield expected.source
    if any(line.ours is not None for line in lines):
        yield (
            "Ours: mean ± standard deviation over images [95 % confidence interval of the mean, by bootstrap over "
            "images, or over patients where some have several images]; of several seeds, over the seeds' means "
            "[Student's interval]"
        )
    for line in lines:
        if line.reference is not None and line.reference.follows is not None:
            row, column, _ = line.key
            yield (
                f"{_MARK} {row}, {column}: printed {line.reference.mean:g}, but the paper's own columns give "
                f"{line.reference.follows:g}, which the difference is to"
            )
    shown = {line.key[:2] for line in lines}
    for (row, column), why in results.lost.items():
        if (row, column) in shown or not lines:
            yield f"{row}, {column}: {why}"
    yield from (f"{row}: {why}" for row, why in table.absent.items())


def _as_json(table: Table, line: Line) -> dict[str, Any]:
    row, column, measure = line.key
    return {
        "row": row,
        "column": column,
        "measure": measure,
        "ours": None if line.ours is None else _scaled(table, asdict(line.ours)),
        "reference": None if line.reference is None else asdict(line.reference),
        "difference": line.difference,
        "within": line.within,
    }


def _scaled(table: Table, figure: dict[str, Any]) -> dict[str, Any]:
    unit = _unit(table)
    interval = None if figure["ci95"] is None else [bound * unit for bound in figure["ci95"]]
    spread = None if figure["std"] is None else figure["std"] * unit
    return figure | {"mean": figure["mean"] * unit, "std": spread, "ci95": interval}


def _unit(table: Table) -> float:
    return 100.0 if table.percent else 1.0


def _decimals(table: Table) -> int:
    return 2 if table.percent else 3


def _number(table: Table, share: float | None) -> str:
    return MISSING if share is None else f"{share * _unit(table):.{_decimals(table)}f}"


def _with_std(table: Table, mean: float, std: float | None) -> str:
    return _number(table, mean) + ("" if std is None else f" ± {_number(table, std)}")
