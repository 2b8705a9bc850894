"""What a run prints when it is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from medsam_exp.report.grounding import COLUMNS, GroundingLine, grounding_lines, presence_sentences
from medsam_exp.report.measures import (
    DISCLAIMER,
    MISSING,
    score_cell,
    scored_stages,
    used_measures,
)
from medsam_exp.report.retrieval import DIRECTIONS, RetrievalLine, explanation, retrieval_lines

_WIDTH_OF_A_FILE = 110
_NOTES_SHOWN = 5


def print_summary(summary: Mapping[str, Any], run_dir: Path, console: Console | None = None) -> None:
    """Print a finished run's scores, notes, times and where its files are; plain text when not on a terminal.

    Args:
        summary: content of summary.json.
        run_dir: the run's folder.
        console: where to print; standard output by default.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_A_FILE)
    console.print()
    if scored_stages(summary["metrics"]):
        console.print(_table(summary["metrics"], console))
        tolerance = f"; NSD at {summary['nsd_tolerance']}" if "nsd_tolerance" in summary else ""
        _line(
            console,
            "",
            f"mean ± standard deviation over images, [95 % confidence interval of the mean]{tolerance}",
        )
    if lines := retrieval_lines(summary["metrics"]):
        console.print(_retrieval_table(lines, console))
        for sentence in explanation(summary["retrieval"]):
            _line(console, "", sentence)
    if grounding := grounding_lines(summary["metrics"]):
        console.print(_grounding_table(grounding, console))
    for sentence in presence_sentences(summary.get("presence", {}), summary["metrics"]):
        _line(console, "presence", sentence)
    notes = list(summary["notes"])
    for note in notes[:_NOTES_SHOWN]:
        _line(console, "note", note)
    if len(notes) > _NOTES_SHOWN:
        _line(console, "", f"and {len(notes) - _NOTES_SHOWN} more notes in summary.json")
    _line(console, "time", _timing(summary["timing"]))
    _line(console, "run", str(run_dir))
    if (run_dir / "report.html").is_file():
        _line(console, "report", str(run_dir / "report.html"))
    _line(console, "", DISCLAIMER)


def _line(console: Console, label: str, text: str) -> None:
    """A labelled line that is never broken, so that paths can be copied."""
    console.print(f"{label:<9}{_printable(console, text)}", markup=False, highlight=False, soft_wrap=True)


def _printable(console: Console, text: str) -> str:
    """The text with signs that the terminal's encoding has."""
    text = text if console.encoding.startswith("utf") else text.replace("±", "+-").replace(MISSING, "-")
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def _table(metrics: Mapping[str, Any], console: Console) -> Table:
    stages = scored_stages(metrics)
    measures = used_measures(metrics)
    table = _empty_table("stage", console)
    for measure in measures:
        table.add_column(measure.label, justify="right", overflow="fold")
    table.add_column("n", justify="right")
    for stage in stages:
        cells = [score_cell(metrics.get(f"{stage}/{m.name}"), m.decimals) for m in measures]
        written = [_printable(console, f"{cell.value}\n{cell.interval}") for cell in cells]
        table.add_row(stage, *written, next((cell.n for cell in cells if cell.n), ""))
    return table


def _retrieval_table(lines: Sequence[RetrievalLine], console: Console) -> Table:
    table = _empty_table("retrieval, %", console)
    for direction in (*DIRECTIONS.values(), "chance"):
        table.add_column(direction, justify="right", overflow="fold")
    for line in lines:
        written = [_printable(console, f"{cell.value}\n{cell.interval}") for cell in line.cells]
        table.add_row(line.label, *written, line.chance)
    return table


def _grounding_table(lines: Sequence[GroundingLine], console: Console) -> Table:
    table = _empty_table("grounding", console)
    for column in (*COLUMNS.values(), "n"):
        table.add_column(column, justify="right", overflow="fold")
    for line in lines:
        written = [_printable(console, f"{cell.value}\n{cell.interval}") for cell in line.cells]
        table.add_row(line.label, *written, line.n)
    return table


def _empty_table(corner: str, console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, padding=(0, 1), pad_edge=False)
    table.add_column(corner, style="bold", no_wrap=True)
    return table


def _timing(timing: Mapping[str, Mapping[str, float]]) -> str:
    """Seconds by stage; what was there already is said."""
    parts = []
    for stage, cost in timing.items():
        reused = f" ({cost['cached']:.0f} reused)" if cost["cached"] else ""
        parts.append(f"{stage} {cost['seconds']:.1f} s{reused}")
    return ", ".join(parts) or "nothing to do"
