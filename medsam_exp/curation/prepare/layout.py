"""Writes images, masks and captions as the pipeline reads them.

Masks: OUT/{train,val,test}_{images,masks}/NAME.png and OUT/index.csv. Captions: OUT/images/NAME, copied byte by byte,
and CSV files with a row per image and caption.

Every file appears whole or not at all. The same request again writes only what is missing or was changed since, and
ends with the same bytes; `checksums.sha256` says what was written (`sha256sum -c` can check it).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from medsam_exp.curation.prepare.output import Items, Prepared, Request, write_prepared
from medsam_exp.curation.prepare.source import Source
from medsam_exp.data.captions import clean_caption
from medsam_exp.data.patients import INDEX
from medsam_exp.data.sample_index import SPACING_COLUMNS
from medsam_exp.data.tables import csv_text
from medsam_exp.runtime.png_bytes import png_bytes
from medsam_exp.types import Mask, UserError

SPLITS = ("train", "val", "test")
_COLUMNS = ("name", "split", "class", "group", "source")
_NAME = re.compile(r"""[^\\/:*?"<>|\x00-\x1f.\s][^\\/:*?"<>|\x00-\x1f]*""")


@dataclass(frozen=True)
class PreparedImage:
    """One image to be written.

    Attributes:
        name: file name without its ending, unique in its split whatever the case of its letters; see `plain_name`.
        split: train, val or test; "" before it is divided.
        read: gives (H, W) or (H, W, 3) uint8 pixels and the (H, W) mask, or None where no case has one; the mask
            is bool, or uint8 with a class's number in each pixel; called from several threads at once.
        class_name: what the image shows; "" for unknown.
        group: what may not be on two sides of a split, such as the patient; "" for unknown.
        source: which file of the download it comes from.
        spacing_mm: (row, column) size of a pixel, where the source says it.
        key: what stands for it in a division, where that is not its name.
        texts: sentences about it by their column in index.csv, such as "text".
    """

    name: str
    split: str
    read: Callable[[], tuple[NDArray[np.uint8], Mask | NDArray[np.uint8] | None]]
    class_name: str = ""
    group: str = ""
    source: str = ""
    spacing_mm: tuple[float, float] | None = None
    key: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def plain_name(text: str) -> str:
    """A file name that works everywhere: letters, digits, dots, dashes, and one underscore for anything else."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", normalize("NFC", text)).strip("_.-") or "image"


def unique_names(wanted: Mapping[str, str]) -> dict[str, str]:
    """Names by source: as wanted, with a number at the end where several sources want the same.

    Args:
        wanted: name by source.
    """
    taken: set[str] = set()
    found: dict[str, str] = {}
    for source in sorted(wanted):
        name, number = wanted[source], 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted[source]}_{number}"
        taken.add(name.casefold())
        found[source] = name
    return found


def write_layout(
    out: Path,
    cases: Sequence[PreparedImage],
    request: Request,
    notes: Iterable[str] = (),
    *,
    skip_faulty: bool = False,
) -> Prepared:
    """Write all cases, their index and what was done.

    Args:
        out: a new or empty folder, or one that the same request began or finished.
        cases: in any order, which changes nothing.
        request: what decides the result.
        notes: for `prepared.json`.
        skip_faulty: leave out cases that cannot be read and say so, instead of stopping.

    Raises:
        UserError: the folder holds something else, two cases have the same name, or cases cannot be read; one error
            names them all.
    """
    _check(out, cases)
    cases = sorted(cases, key=lambda case: case.name)

    def tables(faults: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        kept = [case for case in cases if _files(case)[0] not in faults]
        counts = {split: Counter(case.class_name for case in kept if case.split == split) for split in SPLITS}
        return {INDEX: _index(kept)}, {split: dict(sorted(found.items())) for split, found in counts.items()}

    items: Items = {_files(case): partial(_encoded, case) for case in cases}
    folders = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "masks")]
    return write_prepared(out, request, folders, items, tables, notes, skip_faulty=skip_faulty)


def _encoded(case: PreparedImage) -> dict[str, bytes]:
    """A case's files; the mask comes first, so that an image that is there has its mask."""
    image, mask = case.read()
    image_file, mask_file = _files(case)
    if mask is None:
        return {image_file: _png(image)}
    if mask.shape != image.shape[:2]:
        sizes = [f"{shape[1]} x {shape[0]}" for shape in (image.shape, mask.shape)]
        raise UserError(
            f"{case.source or case.name} has an image of {sizes[0]} and a mask of {sizes[1]} pixels"
        )
    labels = mask.astype(np.uint8) * np.uint8(255) if mask.dtype == bool else np.asarray(mask, np.uint8)
    return {mask_file: _png(labels), image_file: _png(image)}


def _index(cases: Sequence[PreparedImage]) -> str:
    with_spacing = any(case.spacing_mm for case in cases)
    texts = list(dict.fromkeys(column for case in cases for column in case.texts))
    rows = []
    for case in cases:
        row = [case.name, case.split, case.class_name, case.group, case.source]
        if with_spacing:
            row += [f"{size:.6g}" for size in case.spacing_mm] if case.spacing_mm else ["", ""]
        rows.append(row + [case.texts.get(column, "") for column in texts])
    return csv_text([*_COLUMNS, *(SPACING_COLUMNS if with_spacing else ()), *texts], rows)


def _files(case: PreparedImage) -> tuple[str, str]:
    return f"{case.split}_images/{case.name}.png", f"{case.split}_masks/{case.name}.png"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """With one channel where three are equal."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    return png_bytes(pixels)


def _check(out: Path, cases: Sequence[PreparedImage]) -> None:
    if not cases:
        raise UserError(f"there is no image to write to {out}: check the download and the options")
    names: dict[str, PreparedImage] = {}
    for case in cases:
        if case.split not in SPLITS:
            raise ValueError(f"{case.split} is no split")
        if not _NAME.fullmatch(case.name):
            raise UserError(
                f"{case.source or case.name} cannot be written as {case.name!r}, which is no name of a file on every "
                "system: rename it without spaces at its start, quotes, colons and the like"
            )
        other = names.setdefault(f"{case.split}/{case.name.casefold()}", case)
        if other is not case:
            raise UserError(
                f"{other.source or other.name} and {case.source or case.name} would both be written as {case.name}: "
                "rename one of them"
            )
    sides: dict[str, str] = {}
    for case in cases:
        if case.group and sides.setdefault(case.group, case.split) != case.split:
            raise ValueError(f"the group {case.group} stands on two sides")


_IMAGE_COLUMN, _CAPTION_COLUMN = "filename", "Caption"
_FOLDER = "images"


@dataclass(frozen=True)
class PreparedPair:
    """One image with one caption."""

    table: str  # name of the CSV, such as train.csv
    image: str  # file in the download
    name: str  # file name below OUT/images, with its ending
    caption: str  # as published; the pipeline cleans it when it reads it
    more: Mapping[str, str] = field(default_factory=dict)  # further columns


def write_pairs(
    out: Path,
    source: Source,
    pairs: Sequence[PreparedPair],
    request: Request,
    notes: Iterable[str] = (),
    *,
    skip_faulty: bool = False,
) -> Prepared:
    """Write all pairs; the result counts images by table.

    Args:
        out: a new or empty folder, or one that the same request began or finished.
        source: where the images are.
        pairs: in any order, which changes nothing.
        request: what decides the result.
        notes: for `prepared.json`.
        skip_faulty: leave out images that cannot be read and say so, instead of stopping.

    Raises:
        UserError: there is no pair, the folder holds something else, or images cannot be read.
    """
    if not pairs:
        raise UserError(f"there is no pair to write to {out}: check the download and the options")
    images: dict[str, str] = {}
    for pair in pairs:
        if images.setdefault(f"{_FOLDER}/{pair.name}", pair.image) != pair.image:
            raise UserError(
                f"{images[f'{_FOLDER}/{pair.name}']} and {pair.image} have the same name: rename one of them"
            )

    def tables(faults: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        kept = [pair for pair in pairs if f"{_FOLDER}/{pair.name}" not in faults]
        names = sorted({pair.table for pair in pairs})
        found = {table: [pair for pair in kept if pair.table == table] for table in names}
        texts = {table: _csv(rows) for table, rows in found.items()}
        return texts, {table: {"pairs": len(rows)} for table, rows in found.items()}

    items: Items = {(name,): partial(_copied, source, image, name) for name, image in sorted(images.items())}
    return write_prepared(out, request, [_FOLDER], items, tables, notes, skip_faulty=skip_faulty)


def is_long_enough(caption: str | None, smallest: int) -> bool:
    """Whether a caption has enough characters once it is cleaned as the pipeline will clean it.

    Args:
        caption: as published; None for none.
        smallest: number of characters.
    """
    return len(clean_caption(caption or "")) >= max(1, smallest)


def _copied(source: Source, image: str, name: str) -> dict[str, bytes]:
    source.image(image)  # decoded once, so that training meets no broken file
    return {name: source.read(image)}


def _csv(pairs: Sequence[PreparedPair]) -> str:
    columns = list(dict.fromkeys(column for pair in pairs for column in pair.more))
    rows = [
        [
            f"{_FOLDER}/{pair.name}",
            " ".join(pair.caption.split()),
            *(pair.more.get(column, "") for column in columns),
        ]
        for pair in sorted(pairs, key=lambda pair: (pair.name, pair.caption))
    ]
    return csv_text([_IMAGE_COLUMN, _CAPTION_COLUMN, *columns], rows)
