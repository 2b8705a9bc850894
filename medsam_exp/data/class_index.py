"""A table that says which class an image belongs to."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from medsam_exp.data.images import IMAGE_SUFFIXES
from medsam_exp.types import UserError


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
        UserError: the file or a column is missing, or one image has two classes.
    """
    columns = [name_column, class_column, *([split_column] if split_column else [])]
    classes: dict[str, str] = {}
    for row in read_rows(path, columns, "data.index"):
        if split_column and row[split_column].strip() != split:
            continue
        stem = stem_of(row[name_column].strip())
        label = row[class_column].strip()
        if classes.setdefault(stem, label) != label:
            raise UserError(f"{path} gives {stem} two classes, {classes[stem]} and {label}: keep one")
    return classes


def read_rows(path: Path, columns: Sequence[str], key: str) -> list[Mapping[str, str]]:
    """Rows of a CSV file with a header line.

    Args:
        path: the file.
        columns: names that the header must have.
        key: the setting that names the file, for the errors.

    Raises:
        UserError: the file cannot be read, or a column is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                there = ", ".join(reader.fieldnames or [])
                raise UserError(
                    f"{path} has no column {', '.join(missing)} (it has {there}): "
                    "set data.name_column, data.class_column or data.split_column, or rename the column"
                )
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{key}: {path} cannot be read as CSV ({error}): check the file") from error


def stem_of(name: str) -> str:
    """The stem by which a dataset knows an image that a table names with or without its suffix.

    In Unicode's composed form (NFC), as names that went through a Mac have their accents apart.
    """
    stem = Path(name).stem if Path(name).suffix.lower() in IMAGE_SUFFIXES else Path(name).name
    return normalize("NFC", stem)
