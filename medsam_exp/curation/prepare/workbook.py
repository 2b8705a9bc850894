"""Excel files (.xlsx) in downloads: the first sheet's cells as text."""

import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile

from medsam_exp.types import UserError

_LARGEST = 1 << 26  # bytes of a spreadsheet's XML
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet_rows(data: bytes, shown: str) -> list[list[str]]:
    """Rows of the first sheet of an Excel file as text; whole numbers without a point, empty cells as "".

    Without pandas' `read_excel`, which takes a further package and makes numbers of text that looks like one.

    Args:
        data: the file.
        shown: its name in errors.

    Raises:
        UserError: it is no Excel file (.xlsx), or larger than such tables are.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            shared = []
            if "xl/sharedStrings.xml" in book.namelist():
                shared = [_text_in(item) for item in _xml(book, "xl/sharedStrings.xml").iter(f"{_MAIN}si")]
            sheets = [name for name in book.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)]
            first = _xml(book, min(sheets, key=lambda name: (len(name), name)))
            return [_row(row, shared) for row in first.iter(f"{_MAIN}row")]
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError, ElementTree.ParseError) as error:
        raise UserError(
            f"{shown} cannot be read as an Excel file ({error}): save it again as .xlsx"
        ) from error


def _xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = book.read(name) if book.getinfo(name).file_size <= _LARGEST else b""
    if (
        b"<!DOCTYPE" in data or b"<!ENTITY" in data
    ):  # which no Excel file has, and which can grow without bounds
        raise ValueError("it declares entities")
    return ElementTree.fromstring(data)


def _text_in(element: ElementTree.Element) -> str:
    return "".join(part.text or "" for part in element.iter(f"{_MAIN}t"))


def _row(row: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: dict[int, str] = {}
    for place, cell in enumerate(row.iter(f"{_MAIN}c")):
        letters = re.match(r"[A-Z]*", cell.get("r", ""))
        column = 0  # 1 for A, 26 for Z, 27 for AA
        for letter in letters[0] if letters else "":
            column = 26 * column + ord(letter) - ord("A") + 1
        cells[column - 1 if column else place] = _text(cell, shared)
    return [cells.get(place, "") for place in range(max(cells, default=-1) + 1)]


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _text_in(cell).strip()
    text = cell.findtext(f"{_MAIN}v") or ""
    if cell.get("t") == "s" and text:
        text = shared[int(text)]
    return re.sub(r"^(\d+)\.0+$", r"\1", text.strip())
