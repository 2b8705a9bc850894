"""The sets of MedCLIPSeg (Koleilat 2026, arXiv 2602.20423) with their texts, and the texts that test robustness.

Reads SET/{Train,Val,Test}_Folder/{img,label}/FILE and SET/Prompts_Folder/{Train_text,Val_text,Test_text_original}.xlsx,
whose rows name an image, its mask and its text (Image, Ground Truth, Description), of one set (--set where there are
several). Images that no row names are left out. Other lists of the test images (Test_text_contradictory.xlsx,
_missing_location, _overdescriptive, _underdescriptive) become further columns of index.csv; an image that such a list
does not name keeps its usual text there. The publishers' split is kept. Masks count from half of their maximum.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, unique_names, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.curation.prepare.workbook import sheet_rows
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError

LICENCE = "of each set, as its publishers state it; cite Koleilat 2026 (MedCLIPSeg) and the set"
_FILE = r"(?P<top>(?P<split>train|val|test)_folder)/(?P<kind>img|label)/(?P<file>[^/]+)"
_LIST = r"(?P<top>prompts_folder)/(?P<split>train|val|test)_text(?P<kind>_[a-z_]+)?\.xlsx"
_USUAL = {"train": "", "val": "", "test": "_original"}
_COLUMNS = ("image", "ground truth", "description")
_TEXT = "text"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("medclipseg")],
    of_set: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="Such as BUSI, where there are several.")
    ] = None,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare one set of MedCLIPSeg."""
    with open_source(download) as source:
        chosen = _set(source, of_set)
        files = {
            (match["split"].lower(), match["kind"].lower(), match["file"]): name
            for name, match in source.matches(_FILE).items()
            if _set_of(name, match) == chosen
        }
        lists = {
            (match["split"].lower(), (match["kind"] or "").lower()): name
            for name, match in source.matches(_LIST).items()
            if _set_of(name, match) == chosen
        }
        rows = {key: _rows(source, name) for key, name in sorted(lists.items())}
        cases, notes = _cases(source, files, rows)
        used = [*lists.values(), *files.values()]
        request = command.request_of(given, "the publishers' own split", LICENCE, [source.facts(used)])
        prepared = write_layout(
            out, cases, request, [*([f"from {chosen}"] if chosen else []), *notes], skip_faulty=skip_faulty
        )
    yield from command.summary_lines(prepared, "data=medclipseg", command.TEXTS_OF_INDEX)


def _set(source: Source, wanted: str | None) -> str:
    there = sorted({_set_of(name, match) for name, match in source.matches(_LIST).items()})
    if not there:
        raise source.missing("lists such as BUSI/Prompts_Folder/Test_text_original.xlsx")
    if wanted is None and len(there) > 1:
        raise UserError(f"{source.shown} has {len(there)} sets ({', '.join(there)}): choose one with --set")
    found = [name for name in there if wanted is None or name.casefold() == wanted.casefold()]
    if not found:
        raise source.missing(f"set {wanted} ({', '.join(there)} are there)")
    return found[0]


def _set_of(name: str, match: re.Match[str]) -> str:
    """The folder's name; "" where the set itself was given."""
    return PurePosixPath(name[: match.start("top")]).name


def _rows(source: Source, name: str) -> dict[str, tuple[str, str]]:
    """Mask and text by image."""
    shown = f"{source.shown}: {name}"
    head, *rest = sheet_rows(source.read(name), shown) or [[]]
    heading = [field.strip().lower() for field in head]
    if lacking := [column for column in _COLUMNS if column not in heading]:
        raise UserError(
            f"{shown} has no column {lacking[0].title()!r} (it has {', '.join(head) or 'none'}): download it again"
        )
    places = [heading.index(column) for column in _COLUMNS]
    found: dict[str, tuple[str, str]] = {}
    for row in rest:
        image, mask, text = ((row[place].strip() if place < len(row) else "") for place in places)
        if not image and not text:
            continue
        if not image or not mask or not text:
            raise UserError(f"{shown} has a row without image, mask or text (image {image!r}): mend it")
        if found.setdefault(image, (mask, text)) != (mask, text):
            raise UserError(f"{shown} names {image} twice with other texts or masks: keep one row")
    return found


def _cases(
    source: Source,
    files: Mapping[tuple[str, str, str], str],
    rows: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]],
) -> tuple[list[PreparedImage], list[str]]:
    listed = [
        (split, image, mask, text)
        for split, usual in _USUAL.items()
        for image, (mask, text) in rows.get((split, usual), {}).items()
    ]
    if not listed:
        raise source.missing("list such as Test_text_original.xlsx with a row")
    absent = [
        f"{split.title()}_Folder/{kind}/{name}"
        for split, image, mask, _ in listed
        for kind, name in (("img", image), ("label", mask))
        if (split, kind, name) not in files
    ]
    if absent:
        raise source.missing(f"{first_few(absent, 3)}, which the lists of texts name ({len(absent)} files)")
    names = unique_names(
        {f"{split}/{image}": plain_name(PurePosixPath(image).stem) for split, image, *_ in listed}
    )
    cases = [
        PreparedImage(
            name=names[f"{split}/{image}"],
            split=split,
            read=partial(source.pair, files[split, "img", image], (files[split, "label", mask],)),
            source=files[split, "img", image],
            texts={_TEXT: text} | _variants(rows, split, image, text),
        )
        for split, image, mask, text in listed
    ]
    used = {(split, image) for split, image, *_ in listed}
    unused = sorted(
        name for (split, kind, file), name in files.items() if kind == "img" and (split, file) not in used
    )
    notes = [f"images that no list names, left out: {len(unused)} (first: {unused[0]})"] if unused else []
    return cases, notes


def _variants(
    rows: Mapping[tuple[str, str], Mapping[str, tuple[str, str]]], split: str, image: str, text: str
) -> dict[str, str]:
    """Texts of other lists by column."""
    return {
        f"{_TEXT}{kind}": own.get(image, ("", text))[1]
        for (of, kind), own in rows.items()
        if of == split == "test" and kind not in ("", _USUAL[of])
    }
