"""CSV tables that give each image its class or the size of its pixels."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from medsam_exp.data.images import IMAGE_SUFFIXES
from medsam_exp.data.tables import is_missing, number, place_of, read_table
from medsam_exp.types import UserError

_SCANS = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)


def read_class_index(
    path: Path, split: str, name_column: str, class_column: str, split_column: str | None
) -> dict[str, str]:
    """Read class names by sample id from a CSV file.

    Args:
        path: CSV with a header line.
        split: rows of other splits are left out.
        name_column: column with the image's file name or stem.
        class_column: column with the class.
        split_column: column with the split; None when all rows belong to every split.

    Raises:
        UserError: the file or a column is missing, a row is faulty, or one image has two classes.
    """
    columns = [name_column, class_column, *([split_column] if split_column else [])]
    classes: dict[str, str] = {}
    for row in read_rows(path, columns, "set data.index to a CSV file"):
        if split_column and row[split_column].strip() != split:
            continue
        stem = stem_of(row[name_column].strip())
        label = "" if is_missing(row[class_column]) else row[class_column].strip()
        if classes.setdefault(stem, label) != label:
            raise UserError(f"{path} gives {stem} two classes, {classes[stem]} and {label}: keep one")
    return classes


def read_rows(path: Path, columns: Sequence[str], absent: str) -> list[Mapping[str, str]]:
    """Rows of a CSV file with a header line, by column; `columns` are found by their usual names too.

    Args:
        path: the file.
        columns: names that the header must have.
        absent: what to do if the file cannot be opened, for the error.

    Raises:
        UserError: the file cannot be read, a column is missing, or a row has more or fewer fields than the header.
    """
    table = read_table(path, absent, columns)
    mend = "set data.name_column, data.class_column, data.patient_column or data.split_column, or rename the column"
    places = {column: place_of(table.header, column, str(path), mend) for column in columns}
    rows = (
        dict(zip(table.header, row, strict=True)) | {column: row[place] for column, place in places.items()}
        for _, row in table.sound_rows()
    )
    return list(rows)


def stem_of(name: str) -> str:
    """The stem by which a dataset knows an image that a table names, with or without suffix and folders.

    In Unicode's composed form (NFC), as names that went through a Mac have their accents apart.
    """
    path = PurePosixPath(_SCANS.sub("", name.strip()).replace("\\", "/"))
    return normalize("NFC", path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name)


COLUMNS = ("spacing_row_mm", "spacing_column_mm")
Spacing = tuple[float, float]


def read_spacing_index(
    path: Path, split: str, name_column: str, split_column: str | None
) -> dict[str, Spacing | None]:
    """Read (row, column) sizes of pixels in mm by sample id from a CSV file.

    Args:
        path: CSV with a header line, and the columns `spacing_row_mm` and `spacing_column_mm`; both empty where an
            image's is unknown.
        split: rows of other splits are left out.
        name_column: column with the image's file name or stem.
        split_column: column with the split; None when all rows belong to every split.

    Raises:
        UserError: the file or a column is missing, a size is no positive number, or one image has two.
    """
    columns = [name_column, *COLUMNS, *([split_column] if split_column else [])]
    sizes: dict[str, Spacing | None] = {}
    for row in read_rows(path, columns, "set data.spacing_mm to a CSV file"):
        if split_column and row[split_column].strip() != split:
            continue
        stem = stem_of(row[name_column].strip())
        size = _size(path, stem, row)
        if sizes.setdefault(stem, size) != size:
            raise UserError(f"{path} gives {stem} two sizes of a pixel, {sizes[stem]} and {size}: keep one")
    return sizes


def _size(path: Path, stem: str, row: Mapping[str, str]) -> Spacing | None:
    texts = [row[column].strip() for column in COLUMNS]
    if all(map(is_missing, texts)):
        return None
    height, width = (math.nan if (value := number(text)) is None else value for text in texts)
    if not (0 < height < math.inf and 0 < width < math.inf):
        raise UserError(
            f"{path} gives {stem} the pixel size {' x '.join(text or 'nothing' for text in texts)}: give two positive "
            "numbers in mm, or leave both empty"
        )
    return height, width
