"""Pivot tables as they are printed: what stands in which cell, the same in Markdown, LaTeX, HTML and on the console."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medsam_exp.metrics.measures import MISSING, Measure, by_patient, interval, number, score_cell
from medsam_exp.stages.pipeline import stage_title
from medsam_exp.sweep.pivot import Entry, Pivot, Values

SIGNIFICANT = 0.05
_STAR = "*"


@dataclass(frozen=True)
class Item:
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
    lines: tuple[tuple[Item, ...], ...]
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
        (*map(Item, row), *(_score(pivot.entries.get((row, ())), pivot.measure) for pivot in pivots))
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
        (*map(Item, row), *_figures(entry, pivot.measure, seeds=several_seeds))
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
            *map(Item, row),
            *(_score(pivot.entries.get((row, column)), pivot.measure) for column in pivot.columns),
        )
        for row in pivot.rows
    ]
    title = f"{stage_title(pivot.stage)}, {_heading(pivot.measure)}, by {' / '.join(pivot.column_axes)}"
    return Sheet(title, header, len(pivot.row_axes), tuple(lines), (*_explained([pivot]), *pivot.remarks))


def _heading(measure: Measure) -> str:
    return f"{measure.label} {'↑' if measure.higher_is_better else '↓'}"


def _figures(entry: Entry, measure: Measure, *, seeds: bool) -> Iterable[Item]:
    score = score_cell(entry.score, measure.decimals)
    yield Item(score.value, entry.best, entry.score["mean"])
    yield Item(score.interval)
    yield Item(_number_of_images(entry.score), value=entry.score["n"])
    if seeds:
        yield Item(str(entry.seeds), value=entry.seeds)
        yield Item(number(entry.seed_std, measure.decimals + 1), value=entry.seed_std)
    compared = entry.comparison
    if compared is None:
        yield from (Item("reference" if entry.reference else MISSING), Item(""), Item(""))
        return
    yield Item(_signed(compared.difference, measure.decimals), value=compared.difference)
    yield Item(interval(compared.ci95, measure.decimals, _signed))
    yield Item(_probability(entry.p), value=entry.p)


def _score(entry: Entry | None, measure: Measure) -> Item:
    """Mean, standard deviation and interval; a star where it differs from the reference."""
    if entry is None:
        return Item(MISSING)
    score = score_cell(entry.score, measure.decimals)
    star = _STAR if entry.p is not None and entry.p < SIGNIFICANT else ""
    return Item(f"{score.value}{star} {score.interval}", entry.best, entry.score["mean"])


def _number_of_images(score: Mapping[str, Any]) -> str:
    patients = score.get("patients")
    return str(score["n"]) if patients is None else f"{score['n']} ({patients})"


def _signed(value: float, decimals: int) -> str:
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
