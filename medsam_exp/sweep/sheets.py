"""Tables of a sweep: their layout, and writing them as Markdown, LaTeX (booktabs) and HTML.

pandas' writers are not used: `DataFrame.to_markdown` needs tabulate, and Styler's LaTeX and HTML have no exact values
to sort by, no captions with notes, and escape other characters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from medsam_exp.metrics.measures import MISSING, Measure, by_patient, interval, number, score_cell
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.sweep.pivot import Entry, Pivot, Values

SIGNIFICANT = 0.05
_STAR = "*"
_LATEX = {
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
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1.5rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .5rem; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #ccc; text-align: left; }}
.number {{ text-align: right; white-space: nowrap; }}
</style>
{table}
{notes}
</html>
"""


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
    return _matrix(pivot) if pivot.column_axes else _ranking(pivot)


def overview_sheet(pivots: Sequence[Pivot]) -> Sheet:
    """Lay out several measures of one stage side by side, one column each.

    Args:
        pivots: at least one, of one stage and one layout, without column axes.
    """
    first = pivots[0]
    header = (*first.row_axes, *(_heading(pivot.measure) for pivot in pivots))
    rows = dict.fromkeys(row for pivot in pivots for row in pivot.rows)
    lines = [
        (*map(TableCell, row), *(_score(pivot.entries.get((row, ())), pivot.measure) for pivot in pivots))
        for row in rows
    ]
    notes = dict.fromkeys([*_explained(pivots), *(note for pivot in pivots for note in pivot.remarks)])
    return Sheet(stage_title(first.stage), header, len(first.row_axes), tuple(lines), tuple(notes))


def _ranking(pivot: Pivot) -> Sheet:
    """All figures of each row."""
    several_seeds = any(entry.seeds > 1 for entry in pivot.entries.values())
    patients = any("patients" in entry.score for entry in pivot.entries.values())
    columns = [_heading(pivot.measure), "95 % CI", f"images{' (patients)' if patients else ''}"]
    columns += ["seeds", "std over seeds"] if several_seeds else []
    columns += ["difference", "95 % CI of it", "p (Holm)"]
    lines = [
        (*map(TableCell, row), *_figures(entry, pivot.measure, seeds=several_seeds))
        for (row, _), entry in pivot.entries.items()
    ]
    title = f"{stage_title(pivot.stage)}, {pivot.measure.label}"
    notes = (*_explained([pivot], stars=False), *pivot.remarks)
    return Sheet(title, (*pivot.row_axes, *columns), len(pivot.row_axes), tuple(lines), notes)


def _matrix(pivot: Pivot) -> Sheet:
    """One score for each row and column."""
    header = (*pivot.row_axes, *(" / ".join(column) for column in pivot.columns))
    lines = [
        (
            *map(TableCell, row),
            *(_score(pivot.entries.get((row, column)), pivot.measure) for column in pivot.columns),
        )
        for row in pivot.rows
    ]
    title = f"{stage_title(pivot.stage)}, {_heading(pivot.measure)}, by {' / '.join(pivot.column_axes)}"
    return Sheet(title, header, len(pivot.row_axes), tuple(lines), (*_explained([pivot]), *pivot.remarks))


def _heading(measure: Measure) -> str:
    return f"{measure.label} {'↑' if measure.higher_is_better else '↓'}"


def _figures(entry: Entry, measure: Measure, *, seeds: bool) -> Iterable[TableCell]:
    score = score_cell(entry.score, measure.decimals)
    yield TableCell(score.value, entry.best, entry.score["mean"])
    yield TableCell(score.interval)
    yield TableCell(_number_of_images(entry.score), value=entry.score["n"])
    if seeds:
        yield TableCell(str(entry.seeds), value=entry.seeds)
        yield TableCell(number(entry.seed_std, measure.decimals + 1), value=entry.seed_std)
    compared = entry.comparison
    if compared is None:
        yield from (TableCell("reference" if entry.reference else MISSING), TableCell(""), TableCell(""))
        return
    yield TableCell(signed(compared.difference, measure.decimals), value=compared.difference)
    yield TableCell(interval(compared.ci95, measure.decimals, signed))
    yield TableCell(_probability(entry.p), value=entry.p)


def _score(entry: Entry | None, measure: Measure) -> TableCell:
    """Mean, standard deviation and interval; a star where it differs from the reference."""
    if entry is None:
        return TableCell(MISSING)
    score = score_cell(entry.score, measure.decimals)
    star = _STAR if entry.p is not None and entry.p < SIGNIFICANT else ""
    return TableCell(f"{score.value}{star} {score.interval}", entry.best, entry.score["mean"])


def _number_of_images(score: Mapping[str, Any]) -> str:
    patients = score.get("patients")
    return str(score["n"]) if patients is None else f"{score['n']} ({patients})"


def signed(value: float, decimals: int) -> str:
    """A difference with its sign; zero is positive."""
    return f"{value:+.{decimals}f}".replace(f"-{0:.{decimals}f}", f"+{0:.{decimals}f}")


def _probability(p: float | None) -> str:
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else number(p)


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
        star = f"{_STAR}: p < {SIGNIFICANT:g}, " if stars else "p: "
        each = " of each measure" if len(pivots) > 1 else ""
        said.append(
            f"{star}two-sided Wilcoxon signed-rank test{' by patient' if grouped else ''}, paired by image, "
            "Holm-corrected for the number of "
            f"tests{each}, {_range({pivot.tests for pivot in pivots})}, against {_references(pivots[0])}"
        )
    return said


def _references(pivot: Pivot) -> str:
    """The rows that others are tested against, few of them by name."""
    rows: list[Values] = list(
        dict.fromkeys(row for (row, _), entry in pivot.entries.items() if entry.reference)
    )
    named = [" ".join(f"{a}={v}" for a, v in zip(pivot.row_axes, row, strict=True)) for row in rows]
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
    columns = "l" * sheet.labels + "r" * (len(sheet.header) - sheet.labels)
    rows = [[_in_latex(item.text) for item in line] for line in sheet.lines]
    bold = [
        [_bold(text, item, r"\textbf{{{}}}") for text, item in zip(row, line, strict=True)]
        for row, line in zip(rows, sheet.lines, strict=True)
    ]
    body = "\n".join(f"{' & '.join(row)} \\\\" for row in bold)
    notes = " ".join(f"{_in_latex(note).rstrip('.')}." for note in sheet.notes)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_in_latex(sheet.title)}. {notes}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            f"{' & '.join(map(_in_latex, sheet.header))} \\\\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def html_table(sheet: Sheet, *, caption: bool = True) -> str:
    """A table element; a number carries its exact value for sorting."""
    heads = "".join(
        f'<th scope="col"{_kind(sheet, column)}>{escape(text)}</th>'
        for column, text in enumerate(sheet.header)
    )
    lines = "\n".join(f"<tr>{''.join(_html_cells(sheet, line))}</tr>" for line in sheet.lines)
    title = f"<caption>{escape(sheet.title)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"


def html(sheet: Sheet) -> str:
    """A page with the table."""
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in sheet.notes)
    return _PAGE.format(title=escape(sheet.title), table=html_table(sheet), notes=notes)


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
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _bold(text: str, item: TableCell, pattern: str) -> str:
    return pattern.format(text) if item.best else text


def _kind(sheet: Sheet, column: int) -> str:
    return "" if column < sheet.labels else ' class="number"'


def _html_cells(sheet: Sheet, line: tuple[TableCell, ...]) -> list[str]:
    cells = []
    for column, item in enumerate(line):
        text = _bold(escape(item.text), item, "<strong>{}</strong>")
        if column < sheet.labels:
            cells.append(f'<th scope="row">{text}</th>')
        else:
            value = "" if item.value is None else f' data-value="{item.value!r}"'
            cells.append(f'<td class="number"{value}>{text}</td>')
    return cells
