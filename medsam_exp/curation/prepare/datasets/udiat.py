"""Breast ultrasound: UDIAT, also called Dataset B (Yap 2018), 163 images.

Reads original/NNNNNN.png with masks GT/NNNNNN.png, in any folder or zip. Benign or malignant is taken from
DatasetB.xlsx (columns Image, Type), from a .csv with the same columns, from lists benign*.txt and malignant*.txt, or
from folders named benign and malignant; where there is none of these, images have no class. That was checked against
public programs that read the dataset, not against the dataset itself, which is given out on request.

The paper validates on 50 of them and tests on 113 (82 benign, 31 malignant), without saying which; --split draws 50 by
hash, benign and malignant in proportion. `busi --udiat` makes the paper's combination with BUSI.
"""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, unique_names, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.curation.prepare.splitting import divided
from medsam_exp.curation.prepare.workbook import sheet_rows
from medsam_exp.data.tables import table_of
from medsam_exp.types import UserError

LICENCE = "UDIAT (Dataset B): for research, on request to its authors; cite Yap 2018 and do not pass it on"
SPLIT = "val=50,test=rest"
_FILE = r"(?:{folders})(?:/(?:benign|malignant))?/(?P<stem>[^/]+)\.(?:png|bmp|jpe?g|tiff?)"
_CLASSES = ("benign", "malignant")


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("breast_tumors")],
    split: Annotated[str, command.amounts_of("What goes where")] = SPLIT,
    seed: command.Seed = 0,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare UDIAT alone."""
    with open_source(download) as source:
        cases, notes = cases_of(source, split, seed)
        rule = "divided by hash of (seed, image), classes in proportion; patients are not known"
        request = command.request_of(given, rule, LICENCE, [source.facts()])
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=busi")


def cases_of(source: Source, amounts: str, seed: int) -> tuple[list[PreparedImage], list[str]]:
    """UDIAT's images, and notes.

    Raises:
        UserError: images or masks are missing.
    """
    images, masks = (
        {match["stem"]: name for name, match in source.matches(_FILE.format(folders=folders)).items()}
        for folders in ("originals?|images?", "GT|masks?|ground.?truth")
    )
    if not images or not masks:
        raise source.missing(f"folder {'GT' if images else 'original'} with images such as 000001.png")
    if without := sorted(images.keys() - masks.keys()):
        raise source.missing(f"mask for {images[without[0]]}, such as GT/{without[0]}.png")
    classes = _classes(source, images)
    unlabelled = sorted(images.keys() - classes.keys())
    notes = (
        [f"images of UDIAT without a class: {len(unlabelled)} (first: {unlabelled[0]})"] if unlabelled else []
    )
    wanted = {stem: plain_name("_".join(filter(None, ("udiat", classes.get(stem), stem)))) for stem in images}
    names = unique_names(wanted)
    cases = [
        PreparedImage(
            name=names[stem],
            split="",
            read=partial(source.pair, image, (masks[stem],)),
            class_name=classes.get(stem, ""),
            source=image,
            key=stem,
        )
        for stem, image in sorted(images.items())
    ]
    return divided(cases, amounts, seed), notes


def _classes(source: Source, images: dict[str, str]) -> dict[str, str]:
    """Benign or malignant by stem, from whatever the download says it with."""
    found: dict[str, str] = {}
    for name in source.names:
        path = PurePosixPath(name.lower())
        if path.suffix == ".xlsx" and not path.name.startswith("~"):
            found |= _of_table(sheet_rows(source.read(name), f"{source.shown}: {name}"), images)
        elif path.suffix == ".csv":
            found |= _of_table(_table(source, name), images)
        elif path.suffix == ".txt" and (listed := _class_in(path.stem)):
            found |= dict.fromkeys(_stems(re.findall(r"[\w-]+", source.text(name)), images), listed)
    for stem, name in images.items():
        folder = _class_in(PurePosixPath(name).parent.name)
        found |= {stem: folder} if folder else {}
    return found


def _table(source: Source, name: str) -> list[list[str]]:
    table = table_of(source.text(name), f"{source.shown}: {name}")
    return [list(table.header), *(list(row) for _, row in table.sound_rows())]


def _of_table(rows: list[list[str]], images: dict[str, str]) -> dict[str, str]:
    """Classes from rows below a heading with Image and Type; none where the table has no such columns."""
    heading = [field.strip().lower() for field in rows[0]] if rows else []
    if "image" not in heading or "type" not in heading:
        return {}
    image, kind = heading.index("image"), heading.index("type")
    found: dict[str, str] = {}
    for row in rows[1:]:
        if len(row) > max(image, kind) and (class_name := _class_in(row[kind])):
            for stem in _stems([row[image]], images):
                if found.setdefault(stem, class_name) != class_name:
                    raise UserError(f"UDIAT's table calls {stem} benign and malignant: keep one row")
    return found


def _stems(written: Iterable[str], images: dict[str, str]) -> list[str]:
    """Images that a table means; Excel drops leading zeros."""
    by_number = {stem.lstrip("0") or "0": stem for stem in images}
    names = (PurePosixPath(text.strip()).name.rsplit(".", 1)[0] for text in written)
    return [by_number[name.lstrip("0") or "0"] for name in names if (name.lstrip("0") or "0") in by_number]


def _class_in(text: str) -> str | None:
    return next((name for name in _CLASSES if name in text.lower()), None)
