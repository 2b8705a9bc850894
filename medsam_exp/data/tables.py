"""CSV tables: separator and encoding recognised, columns found by their usual names, faulty rows named by line.

A separator is a comma, a semicolon or a tab; Excel's first line `sep=;` names it. Texts are UTF-8, with or without a
byte-order mark, or UTF-16 with one; other encodings cannot be told apart, so they are refused. A row with more or fewer
fields than the header is a fault: in a text with a comma that is not quoted, what follows would be lost. Python's
reader tells the line of each, which pandas does not.

A column is found by its name, upper or lower case. Where a table lacks the one that is asked for, and this is a usual
name of its kind (such as `filename`), the only column with another usual name of the kind is taken; of several
none is.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from medsam_exp.runtime.limits import refuse_long_text
from medsam_exp.runtime.wording import first_few
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
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a text begins that a spreadsheet computes, and such a text behind apostrophes."""
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
    """Whether a field is empty or holds what programs write for a missing value."""
    return field.strip().casefold() in _MISSING


def value_of(field: str) -> str:
    """A field without white space around it; "" where its value is missing."""
    return "" if is_missing(field) else field.strip()


def number(field: str) -> float | None:
    """The number in a field, with a decimal point or a decimal comma; None where it is none."""
    text = field.strip()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


_SEPARATORS = (",", ";", "\t")
_BOOKS = {b"PK\x03\x04": "an Excel file (.xlsx) or another zip", b"\xd0\xcf\x11\xe0": "an Excel file (.xls)"}
_MARKS = {  # UTF-32's first, as it begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_SAVE = 'save it as UTF-8 (in Excel: "CSV UTF-8")'

Rows = list[tuple[int, tuple[str, ...]]]
"""Of each row the number of its first line, and its fields."""


@dataclass(frozen=True)
class Table:
    """A table with a header line; empty lines do not count.

    Attributes:
        shown: its name in errors.
        header: names of the columns, without white space around them.
        rows: those of the header's length.
        faults: a sentence about each other row.
    """

    shown: str
    header: tuple[str, ...]
    rows: Rows
    faults: tuple[str, ...]

    def sound_rows(self) -> Rows:
        """All rows.

        Raises:
            UserError: one has a wrong length; names the lines.
        """
        if self.faults:
            raise UserError(f"{self.shown}: {faulty_rows(self.faults, len(self.rows) + len(self.faults))}")
        return self.rows


def faulty_rows(faults: Sequence[str], count: int) -> str:
    """Describe faulty rows, for errors.

    Args:
        faults: a sentence about each.
        count: number of all rows.
    """
    return (
        f"{len(faults)} of {count} rows are faulty ({first_few(faults, separator='; ')}): mend them, such as by double "
        "quotes around a text that holds the separator"
    )


def read_table(path: Path, mend: str, expected: Collection[str] = (), separator: str | None = None) -> Table:
    """Read a table from a file.

    Args:
        path: the file.
        mend: what to do if it cannot be opened, such as "set data.index to a CSV file".
        expected: columns that it should have; they help to recognise the separator.
        separator: one character; None recognises it.

    Raises:
        UserError: the file is missing or empty, or is no CSV in an encoding that can be told.
    """
    refuse_long_text(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "does not exist" if not path.exists() else f"cannot be read ({error.strerror})"
        raise UserError(f"{path} {reason}: {mend}") from error
    return table_of(_decoded(data, str(path)), str(path), expected, separator)


def text_of_file(path: Path, key: str) -> str:
    """Read a text file in a detected encoding; `key` names the setting that gave it.

    Raises:
        UserError: it cannot be read.
    """
    refuse_long_text(path)
    try:
        return _decoded(path.read_bytes(), f"{key}: {path}")
    except OSError as error:
        raise UserError(f"{key}: {path} cannot be read ({error.strerror}): check the path") from error


def _decoded(data: bytes, shown: str) -> str:
    """Decode the bytes of a text file: UTF-8 with or without a byte-order mark, or UTF-16 with one."""
    if book := next((kind for mark, kind in _BOOKS.items() if data.startswith(mark)), None):
        raise UserError(f'{shown} is {book}, which is not read here: save the sheet as "CSV UTF-8"')
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{shown} is not in UTF-8 (it has a byte 0x{data[error.start]:02x} in line {line}): {_SAVE}"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError(f"{shown} has a NUL character in line {line}, so it is no text in UTF-8: {_SAVE}")
    return text


def table_of(text: str, shown: str, expected: Collection[str] = (), separator: str | None = None) -> Table:
    """Parse a table.

    Args:
        text: of a CSV file.
        shown: the table's name in errors.
        expected: columns that it should have; they help to recognise the separator.
        separator: one character; None recognises it.

    Raises:
        UserError: the text is empty or no valid CSV.
    """
    lines = list(io.StringIO(text, newline=""))  # str.splitlines would also divide at other signs
    skipped = 0
    if lines and (named := re.fullmatch(r'"?sep=(.)"?\s*', lines[0])):  # Excel's own way to name it
        separator, skipped = separator or named[1], 1
    if separator is None:
        separator = _recognised(lines, expected)
    rows = _numbered(shown, csv.reader(lines[skipped:], delimiter=separator, strict=True), skipped)
    header = [field.strip() for field in next(rows, (0, []))[1]]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise UserError(
            f"{shown} is empty: it needs a header line with {', '.join(expected) or 'names of columns'}"
        )
    sound, faults = [], []
    for number, row in rows:
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
        if len(row) == len(header):
            sound.append((number, tuple(row)))
        else:
            faults.append(f"line {number} has {len(row)} fields, the header has {len(header)}")
    return Table(shown, tuple(header), sound, tuple(faults))


def read_columns(
    path: Path,
    columns: Sequence[str],
    separator: str | None = None,
    mend: str = "set pairs' image_column, caption_column or group_column",
) -> tuple[Rows, list[str], list[str]]:
    """Read some columns of a CSV file, found by their usual names too.

    Args:
        path: the file.
        columns: their names.
        separator: one character between the fields; None recognises it.
        mend: which settings name the columns.

    Returns:
        Rows with the fields of `columns`; a sentence about each row of the wrong length, which is not among them;
        and the names of the columns in the file.

    Raises:
        UserError: the file is missing, no text or no CSV, or lacks a column.
    """
    table = read_table(path, "set pairs' file to a CSV file", columns, separator)
    if len(table.header) == 1 < len(columns):
        mend += ", or separator, as it has one column only"
    places = [place_of(table.header, column, str(path), mend) for column in columns]
    rows = [(number, tuple(row[place] for place in places)) for number, row in table.rows]
    return rows, list(table.faults), [table.header[place] for place in places]


def _recognised(lines: Sequence[str], expected: Collection[str]) -> str:
    """The separator under which the first line has most of the expected columns, then most columns."""
    wanted = {plain_column(column) for column in expected}

    def fit(separator: str) -> tuple[int, int]:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            header = next((row for row in reader if any(field.strip() for field in row)), [])
        except csv.Error:
            return (0, 0)
        return len(wanted.intersection(map(plain_column, header))), len(header)

    return max(_SEPARATORS, key=fit)  # of equals the first


def _numbered(shown: str, reader: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Number of its first line, and the fields, of every row that is not blank."""
    while True:
        start = reader.line_num + skipped + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{shown}, line {start}, is no valid CSV ({_reason(error)})") from error
        if any(field.strip() for field in row):
            yield start, [as_written(field) for field in row]


def _reason(error: csv.Error) -> str:
    if "field larger than field limit" in str(error):
        return f"it has a field of more than {csv.field_size_limit()} characters: close an open quote, or shorten it"
    return f"{error}: mend its quotes"


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, with commas and line feeds.

    Args:
        header: names of the columns.
        rows: as many fields each.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in chain([header], rows):
        fields = list(map(no_formula, row))
        returns = any(isinstance(field, str) and "\r" in field for field in fields)  # not quoted by itself
        (quoted if returns else plain).writerow(fields)
    return text.getvalue()


def no_formula(field: object) -> object:
    """A field that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe before it.

    Names of files and texts come from strangers, and Excel and others compute what begins with one of = + - @, a
    tabulator or a carriage return (https://owasp.org/www-community/attacks/CSV_Injection). Numbers stay as they are.
    """
    risky = isinstance(field, str) and _FORMULA.match(field) and number(field) is None
    return f"'{field}" if risky else field


def as_written(field: str) -> str:
    """What `no_formula` was given for this field."""
    return field[1:] if field.startswith("'") and _FORMULA.match(field) else field
