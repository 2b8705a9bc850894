"""Rows of the table of `make bench`: ours against a plain reference, and how fast it could be at most."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One measured thing.

    Attributes:
        what: that was measured, with its size.
        unit: of `reference`, `ours` and `limit`; less is better.
        reference: the plain way, in the same run.
        ours: our way.
        limit: by arithmetic (operations needed / the machine's measured rate), or None where there is none.
        note: what a reader must know besides, such as differences of the results.
    """

    what: str
    unit: str
    reference: float
    ours: float
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times better ours is than the reference."""
        return self.reference / self.ours


def print_rows(title: str, rows: Iterable[Row]) -> None:
    """Print each row's plain and own figure, their ratio, and the limit."""
    table = Table("what", "unit", "plain", "ours", "ratio", "limit", "note", title=title)
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit:.2f}"
        figures = f"{row.reference:.2f}", f"{row.ours:.2f}", f"{row.ratio:.1f} x", limit
        table.add_row(row.what, row.unit, *figures, row.note)
    Console().print(table)
