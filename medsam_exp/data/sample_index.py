"""CSV tables beside a dataset, one row per image: its class, the size of its pixels, whatever else is asked for."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar
from unicodedata import normalize

from medsam_exp.data.decoding import IMAGE_SUFFIXES
from medsam_exp.data.tables import is_missing, number, place_of, read_table, value_of
from medsam_exp.types import UserError

SPACING_COLUMNS = ("spacing_row_mm", "spacing_column_mm")
Spacing = tuple[float, float]
Value = TypeVar("Value")
_SCANS = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)


def compile_pattern(pattern: str | None, key: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str] | None:
    """Compile a regular expression that a setting gives.

    Args:
        pattern: the expression; None for none.
        key: the setting, for the error.
        flags: such as `re.IGNORECASE`.

    Raises:
        UserError: it is no regular expression.
    """
    try:
        return None if pattern is None else re.compile(pattern, flags)
    except re.error as error:
        raise UserError(f"{key} {pattern!r} is no regular expression ({error}): mend it") from error


def class_in(stem: str, pattern: re.Pattern[str] | None) -> str | None:
    """The class in a file's stem, in lower case and words apart; None where the pattern does not match."""
    found = pattern.search(stem) if pattern else None
    return " ".join(re.split(r"[\W_]+", found[0].lower())) if found else None


@dataclass(frozen=True)
class Index:
    """A CSV table with one row per image.

    Attributes:
        path: CSV with a header line.
        split: whose rows count.
        name_column: column with the image's file name or stem.
        split_column: column with the split; None when all rows belong to every split.
    """

    path: Path
    split: str
    name_column: str
    split_column: str | None

    def classes(self, column: str) -> dict[str, str]:
        """Class names by the image's stem, "" where an image's is unknown.

        Raises:
            UserError: the file or the column is missing, a row is faulty, or one image has two classes.
        """
        rows = self.rows([column], "set data.index to a CSV file")
        return self.one_each(((stem, value_of(row[column])) for stem, row in rows), "classes")

    def spacings(self) -> dict[str, Spacing | None]:
        """(row, column) sizes of pixels in mm by the image's stem; None where both of `SPACING_COLUMNS` are empty.

        Raises:
            UserError: the file or a column is missing, a size is no positive number, or one image has two.
        """
        rows = self.rows(SPACING_COLUMNS, "set data.spacing_mm to a CSV file")
        return self.one_each(((stem, _size(self.path, stem, row)) for stem, row in rows), "sizes of a pixel")

    def rows(self, columns: Sequence[str], absent: str) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Rows of the split with the stems of their images; arguments and errors as of `read_rows`."""
        asked = [self.name_column, *columns, *([self.split_column] if self.split_column else [])]
        for row in read_rows(self.path, asked, absent):
            if not self.split_column or row[self.split_column].strip() == self.split:
                yield stem_of(row[self.name_column]), row

    def one_each(self, values: Iterable[tuple[str, Value]], what: str) -> dict[str, Value]:
        """Values by stem.

        Args:
            values: stem and value of each row.
            what: the values, in the plural, for the error.

        Raises:
            UserError: an image has two different values.
        """
        found: dict[str, Value] = {}
        for stem, value in values:
            if found.setdefault(stem, value) != value:
                raise UserError(f"{self.path} gives {stem} two {what}, {found[stem]} and {value}: keep one")
        return found


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


def _size(path: Path, stem: str, row: Mapping[str, str]) -> Spacing | None:
    texts = [row[column].strip() for column in SPACING_COLUMNS]
    if all(map(is_missing, texts)):
        return None
    height, width = (math.nan if (value := number(text)) is None else value for text in texts)
    if not (0 < height < math.inf and 0 < width < math.inf):
        raise UserError(
            f"{path} gives {stem} the pixel size {' x '.join(text or 'nothing' for text in texts)}: give two positive "
            "numbers in mm, or leave both empty"
        )
    return height, width
