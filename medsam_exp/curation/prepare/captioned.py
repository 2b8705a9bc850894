"""Writes image-text pairs as the pipeline reads them: OUT/images/NAME and one CSV with a row per image and caption.

Images are copied byte by byte, after they were decoded once. Repetition, claims and checksums are as in `layout`.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medsam_exp.curation.prepare.files import Item, write_files
from medsam_exp.curation.prepare.layout import Prepared
from medsam_exp.curation.prepare.output_lock import Request, claimed, refuse_strangers
from medsam_exp.curation.prepare.reading import image_of
from medsam_exp.curation.prepare.source import Source
from medsam_exp.data.captions import clean_caption
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.types import UserError

IMAGE_COLUMN, CAPTION_COLUMN = "filename", "Caption"
_FOLDER = "images"


@dataclass(frozen=True)
class Captioned:
    """One image with one caption.

    Attributes:
        table: name of the CSV, such as train.csv.
        image: file in the download.
        name: file name below OUT/images, with its ending.
        caption: as published; the pipeline cleans it when it reads it.
        more: further columns.
    """

    table: str
    image: str
    name: str
    caption: str
    more: Mapping[str, str] = field(default_factory=dict)


def write_pairs(
    out: Path,
    source: Source,
    pairs: Sequence[Captioned],
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
    with claimed(out, request) as claim:
        refuse_strangers(out, [_FOLDER], set(images))
        items = [Item((name,), _copier(source, image, name)) for name, image in sorted(images.items())]
        written = write_files(claim, items, skip_faulty)
        kept = [pair for pair in pairs if f"{_FOLDER}/{pair.name}" not in written.faults]
        tables = {
            table: [pair for pair in kept if pair.table == table]
            for table in sorted({p.table for p in pairs})
        }
        for table, rows in tables.items():
            write_atomically(out / table, _csv(rows).encode())
        counts = {table: {"pairs": len(rows)} for table, rows in tables.items()}
        said = (*notes, *written.notes)
        claim.finish({"counts": counts, "notes": list(said)}, written.checksums)
    return Prepared(out, counts, written.count, said)


def usable(caption: str | None, smallest: int) -> bool:
    """Whether a caption has enough characters once it is cleaned as the pipeline will clean it."""
    return len(clean_caption(caption or "")) >= max(1, smallest)


def _copier(source: Source, image: str, name: str) -> Callable[[], dict[str, bytes]]:
    def copy() -> dict[str, bytes]:
        image_of(source, image)  # decoded once, so that training meets no broken file
        return {name: source.read(image)}

    return copy


def _csv(pairs: Sequence[Captioned]) -> str:
    columns = list(dict.fromkeys(column for pair in pairs for column in pair.more))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([IMAGE_COLUMN, CAPTION_COLUMN, *columns])
    for pair in sorted(pairs, key=lambda pair: (pair.name, pair.caption)):
        more = [pair.more.get(column, "") for column in columns]
        writer.writerow([f"{_FOLDER}/{pair.name}", " ".join(pair.caption.split()), *more])
    return text.getvalue()
