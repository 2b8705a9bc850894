"""Collect a sweep's results (`medsam-exp collect`).

Writes one tidy table of everything, for each stage and measure a pivot table as Markdown, LaTeX and HTML, and a report
with plots and an image browser, beside the sweep's jobs. With many rows some small p comes up by chance: p-values are
corrected for the number of tests of one table, not for the number of tables that are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medsam_exp.metrics.measures import MEASURES
from medsam_exp.runtime.wording import first_few
from medsam_exp.sweep.pivot import Layout, Pivot, pivot
from medsam_exp.sweep.read import SweepResults, read_sweep
from medsam_exp.sweep.report.page import write_sweep_report
from medsam_exp.sweep.scores import NotComparableError, known_measure, known_scores
from medsam_exp.sweep.sheets import WRITERS, Sheet, TableCell, overview_sheet, pivot_sheet, write_sheet
from medsam_exp.sweep.text_stress import text_stress_sheet
from medsam_exp.sweep.tidy import NO_PARQUET, images_table, jobs_table, write_table
from medsam_exp.types import UserError

_MAPS = "saliency"
_STRESS = "text_stress"
_PIVOTS = "pivots"
"""Folder of the pivot tables."""

_ERRORS_SHOWN = 5
_INTERVAL = "95 % CI"
_BETWEEN = 3
"""Letters from one column to the next."""


@dataclass(frozen=True)
class Collected:
    """What a sweep's collection made.

    Attributes:
        sweep: that was read.
        sheets: the tables, by file name without suffix.
        pivots: behind them; those that show one measure.
        main: name of the table that answers the sweep's question: the last stage's first measure, or of a sweep over
            texts under stress the table of these; None without scores.
        files: all that was written.
        remarks: limits of the tables and jobs without results, one sentence each.
    """

    sweep: SweepResults
    sheets: dict[str, Sheet]
    pivots: dict[str, Pivot]
    main: str | None
    files: list[Path]
    remarks: list[str]


def collect(
    folders: Sequence[Path],
    output: Path,
    *,
    stage: str | None = None,
    measure: str | None = None,
    layout: Layout | None = None,
) -> Collected:
    """Read a sweep and write its tables; the same files byte by byte when nothing changed.

    Args:
        folders: the sweep's, or those of single runs.
        output: where to write.
        stage: only this; None for all.
        measure: only this; None for all measures of masks, or of maps where there are no scores of masks.
        layout: rows, columns and reference of the pivots.

    Raises:
        UserError: there are no runs, stage, measure, axis or reference are unknown, or the measure that was asked for
            cannot be compared.
    """
    layout = layout or Layout()
    sweep = read_sweep(folders)
    files = write_table(images_table(sweep), output / "table") + write_table(
        jobs_table(sweep), output / "jobs"
    )
    pivots, remarks = _pivots(sweep, _chosen(sweep, stage, measure), layout, must_be=measure is not None)
    sheets = _overviews(pivots) if not layout.columns else {}
    sheets |= {name: pivot_sheet(found) for name, found in pivots.items()}
    asked = stage or measure or layout.rows or layout.columns or layout.against
    stress = None if asked else text_stress_sheet(sweep)
    sheets = {**({_STRESS: stress} if stress else {}), **sheets}
    for name, sheet in sheets.items():
        files += write_sheet(sheet, output / _PIVOTS / name)
    _clear(output / _PIVOTS, files)
    remarks += [] if any(file.suffix == ".parquet" for file in files) else [NO_PARQUET]
    write_sweep_report(output / "report.html", sweep, sheets)
    files.append(output / "report.html")
    if not known_scores(sweep):
        remarks.append(
            "no run scored single images (scores need true masks), so there are no pivot tables: jobs.csv has each "
            "run's figures, the report.html in each run's folder its masks"
        )
    last = list(_by_stage(pivots))[-1:]
    chief = next((name for name, found in pivots.items() if [found.stage] == last), None)
    chief = _STRESS if stress else chief
    return Collected(sweep, sheets, pivots, chief, files, [*remarks, *_unfinished(sweep)])


def print_collected(collected: Collected, folder: Path, console: Console) -> None:
    """Print the main table, then the remarks."""
    if collected.main is not None:
        print_sheet(collected.sheets[collected.main], console)
    for sentence in collected.remarks:
        _print_line(console, sentence)
    count = len(collected.sweep.finished)
    _print_line(
        console, f"{count} of {len(collected.sweep.jobs)} jobs, {len(collected.files)} files in {folder}"
    )
    _print_line(console, f"report       {folder / 'report.html'}")


def print_sheet(sheet: Sheet, console: Console) -> None:
    """Print a table with its notes; where the console is narrow, each interval stands below its figure."""
    header, lines = list(sheet.header), [[_marked(item) for item in line] for line in sheet.lines]
    texts = [[item.text for item in line] for line in sheet.lines]
    widths = [max(map(cell_len, column)) for column in zip(header, *texts, strict=True)]
    if sum(widths) + _BETWEEN * len(widths) > console.width:
        header, lines = _stacked(header, lines)
    table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, heading in enumerate(header):
        table.add_column(
            escape(heading), justify="left" if column < sheet.labels else "right", overflow="fold"
        )
    for line in lines:
        table.add_row(*line)
    console.print(table)
    for note in sheet.notes:
        _print_line(console, note)


def _marked(item: TableCell) -> str:
    return f"[bold]{escape(item.text)}[/]" if item.best else escape(item.text)


def _stacked(header: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The columns without those of intervals, whose cells stand below those before them."""
    kept = [column for column, heading in enumerate(header) if not heading.startswith(_INTERVAL)]
    below = {column - 1: column for column in range(len(header)) if column not in kept}

    def cell(line: Sequence[str], column: int) -> str:
        return f"{line[column]}\n{line[below[column]]}" if column in below else line[column]

    return [cell(header, column) for column in kept], [[cell(line, c) for c in kept] for line in lines]


def _print_line(console: Console, sentence: str) -> None:
    printable = sentence.encode(console.encoding, "replace").decode(console.encoding)
    console.print(printable, markup=False, highlight=False, soft_wrap=True)


def _unfinished(sweep: SweepResults) -> list[str]:
    """One sentence on the jobs without results, with the errors of the first few."""
    lost = sweep.unfinished
    if not lost:
        return []
    named = first_few((f"{job.number}: {job.error}" for job in lost), _ERRORS_SHOWN, "; ")
    where = " in jobs.csv" if len(lost) > _ERRORS_SHOWN else ""
    return [f"without results: {len(lost)} of {len(sweep.jobs)} jobs ({named}{where})"]


def _chosen(sweep: SweepResults, stage: str | None, measure: str | None) -> list[str]:
    """Scores to make pivots of, as "stage/measure"."""
    known = known_scores(sweep)
    chosen = [
        name
        for name in known
        if (stage is None or name.startswith(f"{stage}/"))
        and (measure is None or name.endswith(f"/{measure}"))
    ]
    if not chosen and (stage or measure):
        asked = f"{stage or 'any stage'}/{measure or 'any measure'}"
        raise UserError(f"no run has scores of {asked}; what the runs have: {', '.join(known) or 'none'}")
    if measure is None:
        of_masks = {entry.name for entry in MEASURES}
        chosen = [name for name in chosen if name.partition("/")[2] in of_masks] or chosen
    return chosen


def _clear(folder: Path, written: Sequence[Path]) -> None:
    """Remove tables of an earlier collection, which may be of other jobs."""
    for path in {path for suffix in WRITERS for path in folder.glob(f"*.{suffix}")} - set(written):
        path.unlink()


def _pivots(
    sweep: SweepResults, names: Sequence[str], layout: Layout, *, must_be: bool
) -> tuple[dict[str, Pivot], list[str]]:
    """A pivot of each score, and why some have none; a measure that was asked for must have one."""
    pivots, remarks = {}, []
    for name in names:
        stage, _, measure = name.partition("/")
        try:
            pivots[f"{stage}_{measure}"] = pivot(sweep, stage, known_measure(measure), layout)
        except NotComparableError as error:
            if must_be:
                raise
            remarks.append(f"no table of {name}: {error}")
    return pivots, remarks


def _by_stage(pivots: dict[str, Pivot]) -> dict[str, list[Pivot]]:
    found: dict[str, list[Pivot]] = {}
    for made in pivots.values():
        found.setdefault(made.stage, []).append(made)
    return {stage: found[stage] for stage in sorted(found, key=lambda stage: stage != _MAPS)}


def _overviews(pivots: dict[str, Pivot]) -> dict[str, Sheet]:
    """All measures of a stage side by side, the last stage first."""
    stages = reversed(_by_stage(pivots).items())
    return {stage: overview_sheet(found) for stage, found in stages if len(found) > 1}


def axis_names(given: Sequence[str]) -> list[str]:
    """Names of axes; several may be in one part, with commas between them."""
    return [name for part in given for name in part.split(",") if name]


def axis_values(given: Sequence[str]) -> dict[str, str] | None:
    """The values of "axis=value" parts.

    Raises:
        UserError: a part is none.
    """
    found = {}
    for part in given:
        axis, sign, value = part.partition("=")
        if not sign:
            raise UserError(f"--against {part!r} is not of the form axis=value")
        found[axis.strip()] = value.strip()
    return found or None
