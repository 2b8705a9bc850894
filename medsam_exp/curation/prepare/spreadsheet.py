"""The first sheet of an Excel file (.xlsx) as rows of text, for small tables of labels."""

import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile

from medsam_exp.types import UserError

_LARGEST = 1 << 26  # bytes of XML
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet_rows(data: bytes, shown: str) -> list[list[str]]:
    """Rows of the first sheet; whole numbers without a point, empty cells as "".

    Args:
        data: the file's bytes.
        shown: what to call it in errors.

    Raises:
        UserError: it is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            shared = _strings(book)
            sheets = sorted(
                name for name in book.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)
            )
            root = _xml(book, min(sheets, key=lambda name: (len(name), name)))
    except (zipfile.BadZipFile, KeyError, ValueError, ElementTree.ParseError) as error:
        raise UserError(
            f"{shown} cannot be read as an Excel file ({error}): save it again as .xlsx"
        ) from error
    return [_row(row, shared) for row in root.iter(f"{_MAIN}row")]


def _xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = book.read(name) if book.getinfo(name).file_size <= _LARGEST else b""
    if (
        b"<!DOCTYPE" in data or b"<!ENTITY" in data
    ):  # which no Excel file has, and which can grow without bounds
        raise ValueError("it declares entities")
    return ElementTree.fromstring(data)


def _strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    items = _xml(book, "xl/sharedStrings.xml").iter(f"{_MAIN}si")
    return ["".join(part.text or "" for part in item.iter(f"{_MAIN}t")) for item in items]


def _row(row: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: dict[int, str] = {}
    for place, cell in enumerate(row.iter(f"{_MAIN}c")):
        letters = re.match(r"[A-Z]+", cell.get("r", ""))
        cells[_column(letters[0]) if letters else place] = _text(cell, shared)
    return [cells.get(place, "") for place in range(max(cells, default=-1) + 1)]


def _column(letters: str) -> int:
    """0 for A, 25 for Z, 26 for AA."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    value = cell.find(f"{_MAIN}v")
    if cell.get("t") == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_MAIN}t")).strip()
    text = (value.text or "") if value is not None else ""
    if cell.get("t") == "s" and text:
        text = shared[int(text)]
    return re.sub(r"^(\d+)\.0+$", r"\1", text.strip())
