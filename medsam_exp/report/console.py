"""What a run prints when it is done."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.markup import escape

from medsam_exp.metrics.measures import DISCLAIMER, MISSING, Cell
from medsam_exp.report.contents import contents
from medsam_exp.report.section import Row, Section, Table

_WIDTH_OF_A_FILE = 110
_NOTES_SHOWN = 5
_ONLY_JUDGES = ("evaluate:", "uncertainty:", "by_class:", "report:", "data checks:")
"""Uses of true masks that change no result."""
_PLAIN = str.maketrans({"±": "+-", MISSING: "-", "−": "-", "“": '"', "”": '"', "’": "'"})
"""Signs of reports that old encodings lack."""


def print_summary(
    summary: Mapping[str, Any],
    run_dir: Path,
    console: Console | None = None,
    *,
    started: float | None = None,
) -> None:
    """Print a finished run's scores, notes, times and where its files are; plain text when not on a terminal.

    Args:
        summary: content of summary.json.
        run_dir: the run's folder.
        console: where to print; standard output by default.
        started: when the run's process began, in seconds since the epoch; None leaves its whole time out.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_A_FILE)
    console.print()
    for section in contents(summary):
        _print_section(section, console)
    if "caution" in summary:
        _line(console, "caution", summary["caution"])
    notes = list(summary["notes"])
    for note in notes[:_NOTES_SHOWN]:
        _line(console, "note", note)
    if len(notes) > _NOTES_SHOWN:
        _line(console, "", f"and {len(notes) - _NOTES_SHOWN} more notes in summary.json")
    for use in summary["ground_truth_used_for"]:
        if not use.startswith(_ONLY_JUDGES):  # what a reader of the scores must know
            _line(console, "note", use)
    took = None if started is None else time.time() - started
    _line(console, "time", _timing(summary["timing"], took))
    _line(console, "run", str(run_dir))
    if (run_dir / "report.html").is_file():
        _line(console, "report", str(run_dir / "report.html"))
    _line(console, "", DISCLAIMER)


def _print_section(section: Section, console: Console) -> None:
    for part in section.parts:
        if part.table is not None and part.table.console:
            console.print(_table(part.table, console))
        for label, sentence in part.console:
            _line(console, label, sentence)


def _table(table: Table, console: Console) -> rich_table.Table:
    shown = rich_table.Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None, padding=(0, 1), pad_edge=False
    )
    shown.add_column(table.console, style="bold", no_wrap=True)
    for column in table.columns:
        heading = column if isinstance(column, str) else column.label
        words = bool(table.words) and column is table.columns[-1]
        shown.add_column(_printable(console, heading), justify="left" if words else "right", overflow="fold")
    if table.last:
        shown.add_column(
            "n" if table.last == "Images" else table.last.lower(), justify="right", overflow="fold"
        )
    rows = [*table.rows[: table.console_rows], *([table.total] if table.total else [])]
    for row in rows:
        written = [_printable(console, text) for text in _texts(row)]
        shown.add_row(*map(escape, written), *([row.last] if table.last else []))
    return shown


def _texts(row: Row) -> list[str]:
    return [row.short or row.label, *map(_written, row.cells)]


def _written(cell: Cell | str) -> str:
    """A cell's text; the interval of a score, where it has one, stands below it."""
    if isinstance(cell, str):
        return cell
    return cell.value if cell.interval == MISSING else f"{cell.value}\n{cell.interval}"


def _line(console: Console, label: str, text: str) -> None:
    """A labelled line that is never broken, so that paths can be copied."""
    console.print(f"{label:<9}{_printable(console, text)}", markup=False, highlight=False, soft_wrap=True)


def _printable(console: Console, text: str) -> str:
    """The text with signs that the terminal's encoding has."""
    if not console.encoding.startswith("utf"):
        text = text.translate(_PLAIN)
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def _timing(timing: Mapping[str, Mapping[str, float]], took: float | None) -> str:
    """Seconds by stage, and of all the rest; what was there already is said."""
    parts = []
    for stage, cost in timing.items():
        reused = f" ({cost['cached']:.0f} reused)" if cost["cached"] else ""
        parts.append(f"{stage} {cost['seconds']:.1f} s{reused}")
    if took is not None:
        rest = max(0.0, took - sum(cost["seconds"] for cost in timing.values()))
        parts.append(f"start, checks and report {rest:.1f} s")
    return ", ".join(parts) or "nothing to do"
