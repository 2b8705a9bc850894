"""A table that says how large a pixel of each image is."""

import math
from collections.abc import Mapping
from pathlib import Path

from medsam_exp.data.class_index import read_rows, stem_of
from medsam_exp.data.columns import is_missing, number
from medsam_exp.types import UserError

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
