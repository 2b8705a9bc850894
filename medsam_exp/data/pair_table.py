"""A CSV file of captions as a table of images: rows cleaned, counted and gathered by image."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from medsam_exp.data.captions import clean_caption
from medsam_exp.data.columns import is_missing
from medsam_exp.data.csv_table import faulty_rows, read_columns
from medsam_exp.data.image_files import locate_images
from medsam_exp.types import UserError

Row = tuple[str, str, str]
"""Image, caption and group ("" for none), as the file names them."""


@dataclass(frozen=True)
class TableOptions:
    """How a file is read; see `CsvPairs` for each."""

    file: Path
    root: Path | None
    image_column: str
    caption_column: str
    group_column: str | None
    separator: str | None
    smallest_caption: int
    skip_faulty: bool


@dataclass
class CaptionedImage:
    """Cleaned captions of one image, and the group that it belongs to ("" for none)."""

    captions: set[str] = field(default_factory=set)
    group: str = ""


@dataclass(frozen=True)
class PairTable:
    """All pairs of a file.

    Attributes:
        images: by id.
        base: folder that ids are relative to.
        notes: what reading and cleaning did, one sentence each.
    """

    images: dict[str, CaptionedImage]
    base: Path
    notes: tuple[str, ...]


def read_pair_table(options: TableOptions) -> PairTable:
    """Read, clean and gather the rows of a file.

    Raises:
        UserError: the file, its columns or its rows are faulty, an image has two groups, or no row is left.
    """
    root = options.file.parent if options.root is None else options.root
    rows, skipped, taken = _sound_rows(options)
    if not root.is_dir():
        raise UserError(f"pairs' root {root} is not a folder: set it to the folder that the paths start from")
    cleaned, changed, counts = _cleaned(rows, options)
    located = locate_images({row[0] for row in cleaned}, root)
    images, repeated = _gathered(cleaned, located.ids)
    notes = [
        f"{options.file.name}: {len(rows) + len(skipped)} rows read, {changed} captions changed by cleaning; "
        f"dropped: {counts['empty']} empty captions, {counts['short']} captions of fewer than "
        f"{options.smallest_caption} characters (smallest_caption), {repeated} repeated rows",
        *(f"skipped: {options.file.name}, {fault}" for fault in skipped),
    ]
    if any(column != asked for asked, column in taken.items()):
        named = ", ".join(f"{column} for {asked}" for asked, column in taken.items() if column != asked)
        notes.append(f"columns that stand in for those of the configuration: {named}")
    if located.dropped:
        notes.append(f"image paths begin with {located.dropped}, which is not below root: found without it")
    alone = sum(not image.group for image in images.values())
    if options.group_column is not None and alone:
        notes.append(f"{alone} images have no {options.group_column}: each counts as a group of its own")
    return PairTable(images, located.base, tuple(notes))


def _sound_rows(options: TableOptions) -> tuple[list[Row], list[str], dict[str, str]]:
    """Rows that name an image; a sentence about each that does not or has a wrong length; columns by the asked ones."""
    columns = [options.image_column, options.caption_column]
    columns += [options.group_column] if options.group_column is not None else []
    found, faults, there = read_columns(options.file, columns, options.separator)
    rows = []
    for line, (image, caption, *group) in found:
        if image.strip():
            known = bool(group) and not is_missing(group[0])
            rows.append((image.strip(), caption, group[0].strip() if known else ""))
        else:
            faults.append(f"line {line} has no {options.image_column}")
    if faults and not options.skip_faulty:
        said = faulty_rows(faults, len(rows) + len(faults))
        raise UserError(f"{options.file}: {said}, or leave these rows out with on_error=skip")
    return rows, faults, dict(zip(columns, there, strict=True))


def _cleaned(rows: list[Row], options: TableOptions) -> tuple[list[Row], int, Counter[str]]:
    """Rows with clean captions; how many captions changed; how many were dropped as empty or short."""
    cleaned, changed, dropped = [], 0, Counter[str]()
    for image, caption, group in rows:
        clean = "" if is_missing(caption) else clean_caption(caption)
        changed += clean != caption
        if clean and len(clean) >= options.smallest_caption:
            cleaned.append((image, clean, group))
        else:
            dropped["short" if clean else "empty"] += 1
    if not cleaned:
        raise UserError(
            f"{options.file} has no usable row ({len(rows)} read, {dropped['empty']} without a caption, "
            f"{dropped['short']} with fewer than {options.smallest_caption} characters): "
            "check caption_column, or lower smallest_caption"
        )
    return cleaned, changed, dropped


def _gathered(rows: list[Row], ids: dict[str, str]) -> tuple[dict[str, CaptionedImage], int]:
    """Images by id, and how many rows said the same as another."""
    images: dict[str, CaptionedImage] = {}
    for name, caption, group in rows:
        image = images.setdefault(ids[name], CaptionedImage())
        image.captions.add(caption)
        if group and image.group and image.group != group:
            raise UserError(
                f"the image {name} belongs to two groups, {image.group!r} and {group!r}: give it one"
            )
        image.group = image.group or group
    return images, len(rows) - sum(len(image.captions) for image in images.values())
