"""Rows of the table of `make bench`: ours against a plain reference, and how fast it could be at most."""

from typing import NamedTuple


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
