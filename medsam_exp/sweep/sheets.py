"""Tables of a sweep: their layout, and writing them as Markdown, LaTeX (booktabs) and HTML.

pandas lays the LaTeX out; its own escaping lacks signs such as ± and [, and its Markdown needs tabulate.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medsam_exp.metrics.measures import MISSING, Measure, by_patient, interval, number, score_cell
from medsam_exp.report.web.render import render
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.sweep.pivot import Entry, Pivot, Values, described

_SIGNIFICANT = 0.05
_STAR = "*"
_SUPERVISION, _UNKNOWN = "supervision", "unknown"
_TEMPLATE = Path(__file__).with_name("sheet.html")
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "±": r"$\pm$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "–": "--",
        "[": "{[}",  # after a line's end, a bracket would be read as a length
        "]": "{]}",
    }
)


@dataclass(frozen=True)
class TableCell:
    """A cell: its text, and whether it is the best one.

    Attributes:
        text: to be shown.
        best: shown in bold.
        value: what the cell is sorted by, where that is not its text.
    """

    text: str
    best: bool = False
    value: float | None = None


@dataclass(frozen=True)
class Sheet:
    """A table ready to be written.

    Attributes:
        title: what it shows.
        header: one heading for each column.
        labels: how many columns from the left name the row; the others are numbers.
        lines: rows of as many cells as the header has.
        notes: below it, one sentence each.
    """

    title: str
    header: tuple[str, ...]
    labels: int
    lines: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...]


def pivot_sheet(pivot: Pivot) -> Sheet:
    """Lay a pivot out: with column axes one column for each of their values, else everything known of each row."""
    if pivot.column_axes:
        title = f"{stage_title(pivot.stage)}, {_heading(pivot.measure)}, by {' / '.join(pivot.column_axes)}"
        return _side_by_side(title, {" / ".join(column): (pivot, column) for column in pivot.columns})
    several_seeds = any(entry.seeds > 1 for entry in pivot.entries.values())
    patients = any("patients" in entry.score for entry in pivot.entries.values())
    columns = [_heading(pivot.measure), "95 % CI", f"images{' (patients)' if patients else ''}"]
    columns += ["seeds", "std over seeds"] if several_seeds else []
    columns += ["difference", "95 % CI of it", "p (Holm)"]
    axes, named = _row_labels([pivot])
    lines = [
        (*named[row], *_figures(entry, pivot.measure, seeds=several_seeds))
        for (row, _), entry in pivot.entries.items()
    ]
    title = f"{stage_title(pivot.stage)}, {pivot.measure.label}"
    notes = (*_explained([pivot], stars=False), *one_mark([pivot]), *pivot.remarks)
    return Sheet(title, (*axes, *columns), len(axes), tuple(lines), notes)


def overview_sheet(pivots: Sequence[Pivot]) -> Sheet:
    """Lay out several measures of one stage side by side, one column each.

    Args:
        pivots: at least one, of one stage and one layout, without column axes.
    """
    columns: dict[str, tuple[Pivot, Values]] = {_heading(pivot.measure): (pivot, ()) for pivot in pivots}
    return _side_by_side(stage_title(pivots[0].stage), columns)


def _side_by_side(title: str, columns: Mapping[str, tuple[Pivot, Values]]) -> Sheet:
    """The scores of some columns of pivots, by heading."""
    pivots = list({id(pivot): pivot for pivot, _ in columns.values()}.values())
    axes, named = _row_labels(pivots)
    lines = [
        (
            *named[row],
            *(_score(own.entries.get((row, of)), own.measure) for own, of in columns.values()),
        )
        for row in dict.fromkeys(row for pivot in pivots for row in pivot.rows)
    ]
    remarks = (note for pivot in pivots for note in pivot.remarks)
    notes = dict.fromkeys([*_explained(pivots), *one_mark(pivots), *remarks])
    return Sheet(title, (*axes, *columns), len(axes), tuple(lines), tuple(notes))


def _row_labels(pivots: Sequence[Pivot]) -> tuple[Values, dict[Values, tuple[TableCell, ...]]]:
    """Headings and cells that name the rows; how rows are supervised is among them where it is not the same for all."""
    marks = _all_marks(pivots)
    axes = pivots[0].row_axes
    several = len(set(marks.values())) > 1
    rows = dict.fromkeys(row for pivot in pivots for row in pivot.rows)
    named = {row: (*row, *([marks.get(row, _UNKNOWN)] if several else [])) for row in rows}
    cells = {row: tuple(map(TableCell, texts)) for row, texts in named.items()}
    return (*axes, *([_SUPERVISION] if several else [])), cells


def one_mark(pivots: Sequence[Pivot]) -> list[str]:
    """A note where all rows are supervised alike, none where they are not or no run says it."""
    found = list(dict.fromkeys(_all_marks(pivots).values()))
    return [f"{_SUPERVISION.capitalize()} of every row: {found[0]}"] if len(found) == 1 else []


def _all_marks(pivots: Sequence[Pivot]) -> dict[Values, str]:
    return {row: mark for pivot in pivots for row, mark in pivot.marks.items()}


def _heading(measure: Measure) -> str:
    return f"{measure.label} {'↑' if measure.higher_is_better else '↓'}"


def _figures(entry: Entry, measure: Measure, *, seeds: bool) -> Iterable[TableCell]:
    score = score_cell(entry.score, measure.decimals)
    yield TableCell(score.value, entry.best, entry.score["mean"])
    yield TableCell(score.interval)
    patients = f" ({entry.score['patients']})" if entry.score.get("patients") is not None else ""
    yield TableCell(f"{entry.score['n']}{patients}", value=entry.score["n"])
    if seeds:
        yield TableCell(str(entry.seeds), value=entry.seeds)
        yield TableCell(number(entry.seed_std, measure.decimals + 1), value=entry.seed_std)
    compared = entry.comparison
    if compared is None:
        yield from (TableCell("reference" if entry.reference else MISSING), TableCell(""), TableCell(""))
        return
    yield TableCell(signed_difference(compared.difference, measure.decimals), value=compared.difference)
    yield TableCell(interval(compared.ci95, measure.decimals, signed_difference))
    small = entry.p is not None and entry.p < 0.001
    yield TableCell("< 0.001" if small else number(entry.p), value=entry.p)


def _score(entry: Entry | None, measure: Measure) -> TableCell:
    """Mean, standard deviation and interval; a star where it differs from the reference."""
    if entry is None:
        return TableCell(MISSING)
    score = score_cell(entry.score, measure.decimals)
    star = _STAR if entry.p is not None and entry.p < _SIGNIFICANT else ""
    bounds = f" {score.interval}" if score.interval != MISSING else ""
    return TableCell(f"{score.value}{star}{bounds}", entry.best, entry.score["mean"])


def signed_difference(value: float, decimals: int) -> str:
    """A difference with its sign; zero is positive."""
    return f"{value:+.{decimals}f}".replace(f"-{0:.{decimals}f}", f"+{0:.{decimals}f}")


def _explained(pivots: Sequence[Pivot], *, stars: bool = True) -> list[str]:
    """What the figures are."""
    entries = [entry for pivot in pivots for entry in pivot.entries.values()]
    counts, seeds = ({entry.score["n"] for entry in entries}, {entry.seeds for entry in entries})
    over = f", each image's mean over {_range(seeds)} seeds" if max(seeds) > 1 else ""
    patients = {entry.score["patients"] for entry in entries if "patients" in entry.score}
    grouped = any(by_patient(entry.score) for entry in entries)
    of = f" of {_range(patients)} patients" if patients else ""
    said = [
        f"Mean ± standard deviation over {_range(counts)} images{of}{over}, "
        f"[95 % confidence interval of the mean by bootstrap over {'patients' if grouped else 'images'}]; bold: best"
    ]
    if any(pivot.tests for pivot in pivots):
        star = f"{_STAR}: p < {_SIGNIFICANT:g}, " if stars else "p: "
        each = " of each measure" if len(pivots) > 1 else ""
        said.append(
            f"{star}two-sided Wilcoxon signed-rank test{' by patient' if grouped else ''}, paired by image, "
            "Holm-corrected for the number of "
            f"tests{each}, {_range({pivot.tests for pivot in pivots})}, against {_references(pivots[0])}"
        )
    return said


def _references(pivot: Pivot) -> str:
    """The rows that others are tested against, few of them by name."""
    rows = dict.fromkeys(row for (row, _), entry in pivot.entries.items() if entry.reference)
    named = [described(pivot.row_axes, row) for row in rows]
    return named[0] if len(named) == 1 else f"the matching one of {len(named)} rows: {'; '.join(named[:6])}"


def _range(counts: set[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def markdown(sheet: Sheet) -> str:
    """A table of GitHub's Markdown, its notes below."""
    rule = ["---" if column < sheet.labels else "---:" for column in range(len(sheet.header))]
    rows = [list(map(_in_markdown, sheet.header)), rule]
    rows += [[_bold(_in_markdown(item.text), item, "**{}**") for item in line] for line in sheet.lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {_in_markdown(note)}" for note in sheet.notes)
    return f"**{_in_markdown(sheet.title)}**\n\n{table}\n\n{notes}\n"


def latex(sheet: Sheet) -> str:
    r"""A floating table; needs \usepackage{booktabs}."""
    rows = [[_bold(_in_latex(item.text), item, r"\textbf{{{}}}") for item in line] for line in sheet.lines]
    notes = " ".join(f"{_in_latex(note).rstrip('.')}." for note in sheet.notes)
    table = pd.DataFrame(rows, columns=[_in_latex(heading) for heading in sheet.header])
    written = table.style.hide(axis="index").to_latex(
        column_format="l" * sheet.labels + "r" * (len(sheet.header) - sheet.labels),
        position_float="centering",
        hrules=True,
        caption=f"{_in_latex(sheet.title)}. {notes}",
    )
    return f"% needs \\usepackage{{booktabs}}\n{written}"


def html_table(sheet: Sheet) -> str:
    """A table element without a caption; a number carries its exact value for sorting."""
    return render(_TEMPLATE, sheet=sheet, alone=False)


def html(sheet: Sheet) -> str:
    """A page with the table."""
    return render(_TEMPLATE, sheet=sheet, alone=True)


WRITERS: Mapping[str, Callable[[Sheet], str]] = {"md": markdown, "tex": latex, "html": html}
"""By suffix."""


def write_sheet(sheet: Sheet, path: Path) -> list[Path]:
    """Write a sheet in every format.

    Args:
        sheet: to write.
        path: without a suffix; signs that files cannot have in their names are the caller's to avoid.

    Returns:
        The files.
    """
    files = {path.with_name(f"{path.name}.{suffix}"): write(sheet) for suffix, write in WRITERS.items()}
    for file, content in files.items():
        write_atomically(file, content.encode())
    return list(files)


def _in_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<])", r"\\\1", " ".join(text.split()))


def _in_latex(text: str) -> str:
    return " ".join(text.split()).translate(_LATEX)


def _bold(text: str, item: TableCell, pattern: str) -> str:
    return pattern.format(text) if item.best else text
