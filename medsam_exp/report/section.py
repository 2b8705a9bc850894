"""What a report says, once for console and page: sections of sentences, tables and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from medsam_exp.metrics.measures import Cell, Measure


class FigureFile(NamedTuple):
    """A picture of a run; those of one group follow each other.

    Attributes:
        caption: "group" or "group: what is shown".
        path: of the file in the run's folder.
        source: the same for the page, as a data URI.
    """

    caption: str
    path: Path
    source: str


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: the row's heading.
        cells: one for each column.
        last: in the last column of a table that has one.
        short: heading on the console; `label` where it is empty.
        remark: beside the heading on the page, in small letters.
        colour: of a swatch before the heading on the page; none where it is empty.
    """

    label: str
    cells: Sequence[Cell | str]
    last: str = ""
    short: str = ""
    remark: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        name: read out where the table cannot be seen.
        corner: heading of the rows' headings.
        columns: headings; a measure's says whether higher is better.
        rows: its lines.
        last: heading of a further column, such as the number of images; none where it is empty.
        total: a last row, which the console shows whatever the number of rows.
        console: `corner` on the console; where it is empty, the console leaves the table out.
        console_rows: rows at most on the console.
        words: how many of `columns`, the last ones, have words, not numbers.
    """

    name: str
    corner: str
    columns: Sequence[str | Measure]
    rows: Sequence[Row]
    last: str = ""
    total: Row | None = None
    console: str = ""
    console_rows: int = 10
    words: int = 0

    @property
    def has_intervals(self) -> bool:
        """Whether several columns are of scores with their intervals."""
        return any(sum(isinstance(cell, Cell) for cell in row.cells) > 1 for row in self.rows)


@dataclass(frozen=True)
class Details:
    """What the page shows when it is asked for.

    Attributes:
        summary: what is there.
        entries: value by name.
        hint: below them.
    """

    summary: str
    entries: Mapping[str, str]
    hint: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of a section, in the order of its attributes.

    Attributes:
        heading: of the piece on the page.
        sentences: on the page.
        figures: group of figures that the page shows here.
        table: shown by both.
        hints: on the page, what a reader must know to read the table.
        details: on the page.
        console: (label, sentence) on the console.
    """

    heading: str = ""
    sentences: Sequence[str] = ()
    figures: str = ""
    table: Table | None = None
    hints: Sequence[str] = ()
    details: Sequence[Details] = ()
    console: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Section:
    """One topic of a report.

    Attributes:
        id: of the section on the page.
        title: its heading.
        parts: from top to bottom.
    """

    id: str
    title: str
    parts: Sequence[Part] = field(default_factory=list)
