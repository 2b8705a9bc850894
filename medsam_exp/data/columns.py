"""Columns of tables by their usual names, and what their fields mean.

A column is found by its name, upper or lower case. Where a table lacks the one that is asked for, and this is a usual
name of its kind (such as `filename`), the only column with another usual name of the kind is taken; of several
none is.
"""

import difflib
import re
from collections.abc import Sequence

from medsam_exp.types import UserError

_FILES = ("filename", "file_name", "file", "filepath", "file_path", "path", "name")
_IMAGES = ("image", "image_name", "image_path", "image_file", "img", "img_name", "img_path")
_KINDS = (  # of each kind first what was made for it, then what may stand for it
    (frozenset((*_FILES, *_IMAGES)), frozenset(("id", "image_id", "img_id"))),
    (
        frozenset(("caption", "captions", "text", "texts", "sentence", "prompt")),
        frozenset(("description", "report", "title")),
    ),
)
_MISSING = frozenset({"", "nan", "<na>", "n/a", "#n/a"})
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?|[+-]?[.,]\d+([eE][+-]?\d+)?")


def plain_column(name: str) -> str:
    """A column's name by which upper and lower case, spaces and hyphens do not count."""
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def place_of(header: Sequence[str], column: str, shown: str, mend: str) -> int:
    """Where a table has a column.

    Args:
        header: names of the table's columns.
        column: the name asked for.
        shown: the table's name in errors.
        mend: which settings name the columns.

    Raises:
        UserError: there is no such column, or several may be meant.
    """
    plain = [plain_column(name) for name in header]
    for found in (header.count(column), plain.count(plain_column(column))):
        if found > 1:
            raise UserError(f"{shown} has {found} columns named {column!r}: rename all but one")
        if found:
            return header.index(column) if column in header else plain.index(plain_column(column))
    tiers = next((kind for kind in _KINDS if plain_column(column) in frozenset().union(*kind)), ())
    for tier in tiers:
        usual = [place for place, name in enumerate(plain) if name in tier]
        if len(usual) == 1:
            return usual[0]
        if usual:
            there = " and ".join(repr(header[place]) for place in usual)
            raise UserError(f"{shown} has no column {column!r}, and {there} may both be meant: {mend}")
    near = difflib.get_close_matches(plain_column(column), plain, 1, 0.7)
    meant = f", did you mean {header[plain.index(near[0])]!r}?" if near else ""
    raise UserError(
        f"{shown} has no column {column!r} (it has {', '.join(map(repr, header))}{meant}): {mend}"
    )


def is_missing(field: str) -> bool:
    """Whether a field says nothing: it is empty, or what a program writes for a missing value."""
    return field.strip().casefold() in _MISSING


def number(field: str) -> float | None:
    """The number in a field, with a decimal point or a decimal comma; None where it is none."""
    text = field.strip()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None
