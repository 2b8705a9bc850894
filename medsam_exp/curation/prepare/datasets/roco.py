"""Image-text pairs: ROCO (Pelka 2018) and ROCOv2 (Rueckert 2024), radiology images of articles with their captions.

Reads {train,validation,test}/radiology/ with captions.txt (ROCO_N, a tab, the caption), licences.txt (ROCO_ID, PMC_ID,
CC) and images/ as its repository lists them and its fetch script downloads them, or traindata.csv and its sisters (id,
name, caption) of the copy on Kaggle. Images outside of radiology are not read. Layout checked against the repository.

Of ROCOv2 reads train_captions.csv, valid_captions.csv and test_captions.csv (ID, Caption), images that are named as the
IDs in any folder or zip, and license_information.csv (ID, PMCID, Attribution), where it is there. That was checked
against public programs that read it (doi.org/10.1038/s41597-024-03496-6).

Writes train.csv, val.csv and test.csv, the publishers' split, with filename, Caption, roco_id, article and licence.
Every image has the licence of its article; --licences open keeps CC BY, CC BY-SA and CC0, which allow every use that
names the source; a list, as --licences "CC BY,CC BY-NC", keeps these. Captions shorter than --smallest-caption after
cleaning are left out.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedPair, is_long_enough, write_pairs
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.data.decoding import IMAGE_SUFFIXES
from medsam_exp.data.tables import plain_column, table_of
from medsam_exp.types import UserError

_LICENCE = "every image has the licence of its article, see the column licence; cite Pelka 2018"
_SPLITS = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
_OPEN = ("CC BY", "CC BY-SA", "CC0", "CC ZERO", "PUBLIC DOMAIN")
_FILE = r"(?P<split>train|validation|test)/radiology/.+"
_CAPTIONS_V2 = r"(?P<split>train|valid|test)_captions\.csv"
_LICENCES_V2 = r"license_information\.csv"
_LICENCE_NAME = re.compile(r"CC[ -](?:0|BY(?:-(?:NC|SA|ND))*)|CC0", re.IGNORECASE)


@dataclass
class _Part:
    """One split of the download: files and what its tables say, by image file name (of ROCOv2, its stem) or number.

    Its faults are rows of a wrong length, by table.
    """

    images: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    captions: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    articles: dict[str, str] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    further: int = 0

    def add_caption(self, number: str, caption: str) -> None:
        """Keep an image's first caption, and count others."""
        self.further += self.captions.setdefault(number, caption) != caption


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("roco")],
    licences: Annotated[str, typer.Option(help="all, open, or a list such as 'CC BY,CC BY-NC'.")] = "all",
    smallest_caption: command.SmallestCaption = 20,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare ROCO."""
    with open_source(download) as source:
        parts = _parts(source)
        faults = {name: count for part in parts.values() for name, count in part.faults.items()}
        left_out = Counter(
            {"rows of a table with more or fewer fields than its header": sum(faults.values())}
        )
        for part in parts.values():
            left_out["second captions of an image"] += part.further
        pairs = [
            pair
            for split, part in parts.items()
            for pair in _pairs(split, part, licences, smallest_caption, left_out)
        ]
        if not pairs and left_out["images that are not there"]:
            raise source.missing(
                "image of its captions, such as train/radiology/images/PMC..._....jpg or train/ROCOv2_....jpg",
            )
        notes = [f"left out, {what}: {count}" for what, count in sorted(left_out.items()) if count]
        facts = source.facts(
            [*(name for part in parts.values() for name in part.tables), *(p.image for p in pairs)]
        )
        rule = "the publishers' split; radiology only"
        request = command.request_of(given, rule, _LICENCE, [facts])
        prepared = write_pairs(out, source, pairs, request, notes, skip_faulty=skip_faulty)
    reads = f"pairs=roco pairs.train.file={out / 'train.csv'} pairs.validation.file={out / 'val.csv'}"
    yield from command.summary_lines(prepared, reads)


def _parts(source: Source) -> dict[str, _Part]:
    """The splits of the download with their tables read."""
    parts: dict[str, _Part] = {}
    for name, match in source.matches(_FILE).items():
        part, path = parts.setdefault(match["split"].lower(), _Part()), PurePosixPath(name.lower())
        if path.suffix in IMAGE_SUFFIXES:
            part.images[path.name] = name
        elif re.fullmatch(r"captions.*\.txt|licen[cs]es.*\.txt|\w+data\.csv", path.name):
            part.tables.append(name)
    for part in parts.values():
        for name in part.tables:
            _read_table(source, name, part)
    parts = parts or _parts_of_v2(source)
    if not any(part.captions for part in parts.values()):
        raise source.missing(
            "captions, such as train/radiology/captions.txt, traindata.csv or train_captions.csv"
        )
    return parts


def _parts_of_v2(source: Source) -> dict[str, _Part]:
    """The splits of ROCOv2; an image's name there is its ID."""
    paths = {name: PurePosixPath(name) for name in source.names}
    images = {path.stem: name for name, path in paths.items() if path.suffix.lower() in IMAGE_SUFFIXES}
    parts: dict[str, _Part] = {}
    for table, match in source.matches(_CAPTIONS_V2).items():
        split = "validation" if match["split"].lower() == "valid" else match["split"].lower()
        part = parts[split] = _Part(images, [table, *source.matches(_LICENCES_V2)])
        for name in part.tables:
            for fields in _rows(source, name, part):
                number = fields.get("id", "")
                if "caption" in fields:
                    part.add_caption(number, fields["caption"])
                    part.names[number] = number
                part.articles[number] = fields.get("pmcid", "")
                if licence := _LICENCE_NAME.search(fields.get("attribution", "")):
                    part.licences[number] = licence[0].upper()
    return parts


def _read_table(source: Source, name: str, part: _Part) -> None:
    if PurePosixPath(name).name.lower().startswith("captions"):
        for line in source.text(name).splitlines():
            number, _, caption = line.partition("\t")
            part.add_caption(number.strip(), caption.strip())
        return
    for fields in _rows(source, name, part):
        number = fields.get("roco_id") or fields.get("id") or ""
        if not number:
            raise UserError(f"{source.shown}: {name} has no column ROCO_ID or id: download it again")
        if image := fields.get("pmc_id") or fields.get("name") or "":
            part.names[number] = image.lower()
        if "cc" in fields:
            part.licences[number] = fields["cc"]
        if "caption" in fields:
            part.add_caption(number, fields["caption"])


def _rows(source: Source, name: str, part: _Part) -> Iterable[dict[str, str]]:
    """Rows of a table by their columns in small letters; those of a wrong length are counted."""
    table = table_of(source.text(name), f"{source.shown}: {name}")
    part.faults[name] = len(table.faults)
    columns = [plain_column(column) for column in table.header]
    return [dict(zip(columns, map(str.strip, row), strict=True)) for _, row in table.rows]


def _pairs(
    split: str, part: _Part, licences: str, smallest_caption: int, left_out: Counter[str]
) -> Iterable[PreparedPair]:
    for number, caption in sorted(part.captions.items()):
        licence = part.licences.get(number, "")
        image = part.images.get(PurePosixPath(part.names.get(number, "")).name)
        if not is_long_enough(caption, smallest_caption):
            left_out[f"captions of fewer than {smallest_caption} characters (--smallest-caption)"] += 1
        elif not _allowed(licence, licences):
            left_out[f"images under {licence or 'an unknown licence'}"] += 1
        elif image is None:
            left_out["images that are not there"] += 1
        else:
            name = PurePosixPath(image).name
            article = part.articles.get(number, name.split("_")[0])
            more = {"roco_id": number, "article": article, "licence": licence}
            yield PreparedPair(_SPLITS[split], image, name, caption, more)


def _allowed(licence: str, wanted: str) -> bool:
    if wanted == "all":
        return True
    plain = " ".join(licence.upper().split())
    return plain in (
        _OPEN if wanted == "open" else [" ".join(each.upper().split()) for each in wanted.split(",")]
    )
