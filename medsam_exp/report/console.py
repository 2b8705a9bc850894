"""What a run prints when it is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medsam_exp.metrics.measures import (
    DISCLAIMER,
    FURTHER_MEASURES,
    MAP_MEASURES,
    MEASURES,
    MISSING,
    Cell,
    Measure,
    by_patient,
    score_cell,
    used_measures,
)
from medsam_exp.report.by_class import MACRO, ClassTable, class_table
from medsam_exp.report.grounding import COLUMNS, GroundingLine, grounding_lines, presence_sentences
from medsam_exp.report.retrieval import DIRECTIONS, RetrievalLine, explanation, retrieval_lines
from medsam_exp.report.tuning import TrialLine, trial_lines, tuning_sentences
from medsam_exp.report.uncertainty_tables import console_sentences
from medsam_exp.report.weak import comparison_lines
from medsam_exp.stages.pipeline import scored_labels

_WIDTH_OF_A_FILE = 110
_NOTES_SHOWN = 5
_CLASSES_SHOWN = 10
_TRIALS_SHOWN = 10
_ONLY_JUDGES = ("evaluate:", "uncertainty:", "by_class:", "report:", "data checks:")
"""Uses of true masks that change no result."""


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
    _print_scores(summary, console)
    _print_other_results(summary, console)
    notes = list(summary["notes"])
    for note in notes[:_NOTES_SHOWN]:
        _line(console, "note", note)
    if len(notes) > _NOTES_SHOWN:
        _line(console, "", f"and {len(notes) - _NOTES_SHOWN} more notes in summary.json")
    for use in summary["ground_truth_used_for"]:
        if not use.startswith(_ONLY_JUDGES):  # what a reader of the scores must know
            _line(console, "note", use)
    _line(console, "time", _timing(summary["timing"]))
    _line(console, "run", str(run_dir))
    if (run_dir / "report.html").is_file():
        _line(console, "report", str(run_dir / "report.html"))
    _line(console, "", DISCLAIMER)


def _print_other_results(summary: Mapping[str, Any], console: Console) -> None:
    """What the stages beside the segmentation found, whichever the run has."""
    if lines := retrieval_lines(summary["metrics"]):
        console.print(_retrieval_table(lines, console))
        for sentence in explanation(summary["retrieval"]):
            _line(console, "", sentence)
    if trials := trial_lines(summary.get("tuning", {})):
        console.print(_trial_table(trials[:_TRIALS_SHOWN], console))
        for sentence in tuning_sentences(summary["tuning"]):
            _line(console, "", sentence)
    compared = summary.get("comparison", [])
    for line, found in zip(comparison_lines(compared), compared, strict=True):
        test = "Wilcoxon p by patient" if by_patient(found) else "Wilcoxon p"
        said = f"{line.label}: {line.measure} {line.difference} {line.interval}, {test} {line.cells[0]}"
        _line(console, "compared", said)
    for sentence in console_sentences(summary.get("uncertainty", {})):
        _line(console, "doubt", sentence)
    if grounding := grounding_lines(summary["metrics"]):
        console.print(_grounding_table(grounding, console))
    for sentence in presence_sentences(summary.get("presence", {}), summary["metrics"]):
        _line(console, "presence", sentence)


def _print_scores(summary: Mapping[str, Any], console: Console) -> None:
    """Tables of masks, of saliency maps and by class, whichever the run has."""
    if scored_labels(summary["metrics"]):
        console.print(_table(summary["metrics"], MEASURES, console))
        if used_measures(summary["metrics"], FURTHER_MEASURES):
            console.print(_table(summary["metrics"], FURTHER_MEASURES, console))
        tolerance = f"; NSD at {summary['nsd_tolerance']}" if "nsd_tolerance" in summary else ""
        _line(
            console,
            "",
            f"mean ± standard deviation over images, [95 % confidence interval of the mean"
            f"{', by patient' if any(map(by_patient, summary['metrics'].values())) else ''}]{tolerance}",
        )
    if maps := used_measures(_of_maps(summary["metrics"]), MAP_MEASURES):
        console.print(_map_table(summary["metrics"], maps, console))
    if classes := class_table(summary):
        console.print(_class_table(classes, console))
        _line(console, "", _said_of_classes(classes))


def _line(console: Console, label: str, text: str) -> None:
    """A labelled line that is never broken, so that paths can be copied."""
    console.print(f"{label:<9}{_printable(console, text)}", markup=False, highlight=False, soft_wrap=True)


def _printable(console: Console, text: str) -> str:
    """The text with signs that the terminal's encoding has."""
    text = text if console.encoding.startswith("utf") else _plain(text)
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def _plain(text: str) -> str:
    """The signs of reports that old encodings lack, by those that they have."""
    signs = {"±": "+-", MISSING: "-", "−": "-", "“": '"', "”": '"', "’": "'"}
    return text.translate({ord(sign): plain for sign, plain in signs.items()})


def _table(metrics: Mapping[str, Any], among: Sequence[Measure], console: Console) -> Table:
    measures = used_measures(metrics, among)
    table = _measure_table("stage", measures, console)
    for stage in scored_labels(metrics):
        cells = [score_cell(metrics.get(f"{stage}/{m.name}"), m.decimals) for m in measures]
        _add_line(table, stage, cells, console)
    return table


def _of_maps(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in metrics if name.startswith("saliency/")]


def _map_table(metrics: Mapping[str, Any], measures: Sequence[Measure], console: Console) -> Table:
    """A line a measure, as each is defined for other images."""
    table = _empty_table("saliency map", console)
    table.add_column("", justify="right", overflow="fold")
    table.add_column("n", justify="right")
    for measure in measures:
        _add_line(
            table, measure.label, [score_cell(metrics[f"saliency/{measure.name}"], measure.decimals)], console
        )
    return table


def _class_table(classes: ClassTable, console: Console) -> Table:
    """A line a class where they are few, and the mean over classes."""
    table = _measure_table(f"{classes.stage}, by class", classes.measures, console)
    if len(classes.lines) <= _CLASSES_SHOWN:
        for class_name, cells in classes.lines.items():
            _add_line(table, class_name, cells, console)
    _add_line(table, MACRO, classes.macro, console)
    return table


def _said_of_classes(classes: ClassTable) -> str:
    count = len(classes.lines)
    where = "" if count <= _CLASSES_SHOWN else f"; each of the {count} classes stands in the report"
    return f"{MACRO} ± standard deviation of the {count} classes' means{where}"


def _measure_table(corner: str, measures: Sequence[Measure], console: Console) -> Table:
    table = _empty_table(corner, console)
    for measure in measures:
        table.add_column(measure.label, justify="right", overflow="fold")
    table.add_column("n", justify="right")
    return table


def _add_line(table: Table, label: str, cells: Sequence[Cell], console: Console) -> None:
    written = [_printable(console, f"{cell.value}\n{cell.interval}") for cell in cells]
    table.add_row(
        escape(_printable(console, label)), *written, next((cell.n for cell in cells if cell.n), "")
    )


def _retrieval_table(lines: Sequence[RetrievalLine], console: Console) -> Table:
    table = _empty_table("retrieval, %", console)
    for direction in (*DIRECTIONS.values(), "chance"):
        table.add_column(direction, justify="right", overflow="fold")
    for line in lines:
        written = [_printable(console, f"{cell.value}\n{cell.interval}") for cell in line.cells]
        table.add_row(line.label, *written, line.chance)
    return table


def _trial_table(lines: Sequence[TrialLine], console: Console) -> Table:
    table = _empty_table("trial, best first", console)
    table.add_column("mean ± std", justify="right")
    table.add_column("95 % CI", justify="right")
    table.add_column("", overflow="fold")
    for line in lines:
        written = [_printable(console, text) for text in (line.values, line.score.value, line.score.interval)]
        table.add_row(*written, _printable(console, f"failed: {line.error}" if line.error else line.stopped))
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
