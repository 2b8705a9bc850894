"""Columns of a CSV file, with faults said by line."""

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medsam_exp.types import UserError


def read_columns(
    path: Path, columns: Sequence[str], separator: str
) -> tuple[list[tuple[int, tuple[str, ...]]], list[str]]:
    """Read some columns of a CSV file with a header line; empty lines do not count.

    Args:
        path: the file, in UTF-8 with or without a byte-order mark.
        columns: names from the header.
        separator: one character between the fields.

    Returns:
        Of each row the number of its first line and its fields in the order of `columns`; and a sentence about
        each row of the wrong length, which is not among them.

    Raises:
        UserError: the file is missing, no UTF-8 or no CSV, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = _lines(path, csv.reader(file, delimiter=separator, strict=True))
            return _chosen(path, lines, columns)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UserError(f"{path} is not in UTF-8 (it has a byte 0x{byte:02x}): save it as UTF-8") from error
    except OSError as error:
        reason = "does not exist" if not path.exists() else f"cannot be read ({error.strerror})"
        raise UserError(f"{path} {reason}: set pairs' file to a CSV file") from error


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Number of its first line, and the fields, of every row that is not blank."""
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path}, line {start}, is no valid CSV ({error}): mend its quotes") from error
        if len(row) > 1 or any(field.strip() for field in row):
            yield start, row


def _chosen(
    path: Path, lines: Iterator[tuple[int, list[str]]], columns: Sequence[str]
) -> tuple[list[tuple[int, tuple[str, ...]]], list[str]]:
    header = [field.strip() for field in next(lines, (0, []))[1]]
    if not header:
        raise UserError(f"{path} is empty: it needs a header line with {', '.join(columns)}")
    places = [_place(path, header, column) for column in columns]
    rows, faults = [], []
    for number, row in lines:
        if len(row) == len(header):
            rows.append((number, tuple(row[place] for place in places)))
        else:
            faults.append(f"line {number} has {len(row)} fields, the header has {len(header)}")
    return rows, faults


def _place(path: Path, header: list[str], column: str) -> int:
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise UserError(f"{path} has {header.count(column)} columns named {column!r}: rename all but one")
    near = difflib.get_close_matches(column, header, 1, 0.5)
    meant = f", did you mean {near[0]!r}?" if near and len(header) > 1 else ""
    mend = "set pairs' image_column, caption_column or group_column"
    if len(header) == 1:
        mend += ", or separator, as it has one column only"
    there = ", ".join(map(repr, header))
    raise UserError(f"{path} has no column {column!r} (it has {there}{meant}): {mend}")
