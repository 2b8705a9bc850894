"""Chest X-rays: COVID-QU-Ex (Tahir 2021), lungs or infections.

Reads `Lung Segmentation Data` (33,920 images with lung masks) or `Infection Segmentation Data` (5,826, also with
infection masks) as published: {Train,Val,Test}/{COVID-19,Non-COVID,Normal}/{images,lung masks,infection masks}/X.png.
The two overlap, so one of them is prepared (--part; else the first, or the one that is there). Where a file's name does
not tell the class (sub-S09345_...), the class is put before it.

The publishers' own split is kept. The paper (MedCLIP-SAMv2) names 16,280 / 1,372 / 957 images of normal lungs, lung
opacity, viral pneumonia and COVID-19 and published no list. Patients are not known.

Infection masks are drawn for COVID-19 only; those of the other classes are empty, also where there is pneumonia. So
with --masks infection, images with an empty mask are dropped unless --empty keep is given.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, unique_names, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.runtime.threads import map_in_threads
from medsam_exp.types import UserError

LICENCE = "as its page on Kaggle states it (anasmohammedtahir/covidqu); cite Tahir 2021, Rahman 2021, Chowdhury 2020"
_CLASSES = {
    "covid-19": ("COVID-19", "covid"),
    "non-covid": ("Non-COVID", "non_covid"),
    "normal": ("Normal", "normal"),
}
_WORD = re.compile(r"non.?covid|covid|normal", re.IGNORECASE)  # as conf/data/lung_xray.yaml finds the class
_Part = Literal["lung", "infection"]
_FILE = (
    r"{part} segmentation data/(?P<split>train|val|test)/(?P<class>covid-19|non-covid|normal)/"
    r"(?P<kind>images|{masks} masks)/(?P<stem>[^/]+)\.png"
)


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("lung_Xray")],
    part: Annotated[
        _Part | None, typer.Option(help="Which of the two folders; by default the first that is there.")
    ] = None,
    masks: Annotated[_Part, typer.Option(help="What the masks show.")] = "lung",
    empty: Annotated[
        Literal["keep", "drop"] | None, typer.Option(help="Images with an empty mask; by default as above.")
    ] = None,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare COVID-QU-Ex."""
    drop = empty == "drop" or (empty is None and masks == "infection")
    with open_source(download) as source:
        taken, found = _part(source, part, masks)
        pairs, notes = _pairs(source, found)
        notes.insert(0, f"from {taken.capitalize()} Segmentation Data")
        if drop:
            empty_ones = map_in_threads(partial(_is_empty, source), [mask for _, mask in pairs.values()])
            kept = {
                image: pair for (image, pair), gone in zip(pairs.items(), empty_ones, strict=True) if not gone
            }
            if dropped := len(pairs) - len(kept):
                notes.append(f"images with an empty mask, dropped: {dropped}")
            pairs = kept
        names = unique_names({image: _name(match) for image, (match, _) in pairs.items()})
        cases = [
            PreparedImage(
                name=names[image],
                split=match["split"].lower(),
                read=partial(source.pair, image, (mask,)),
                class_name=_CLASSES[match["class"].lower()][0],
                source=image,
            )
            for image, (match, mask) in pairs.items()
        ]
        facts = source.facts([*pairs, *(mask for _, mask in pairs.values())])
        request = command.request_of(given, "the publishers' own split", LICENCE, [facts])
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=lung_xray")


def _part(source: Source, wanted: str | None, masks: str) -> tuple[str, dict[str, re.Match[str]]]:
    """The part that is read, and its files."""
    parts = (
        [wanted] if wanted else [part for part in get_args(_Part) if masks == "lung" or part == "infection"]
    )
    for part in parts:
        found = source.matches(_FILE.format(part=part, masks=masks))
        kinds = {match["kind"].lower() for match in found.values()}
        if len(kinds) == 2:
            return part, found
    raise source.missing(
        f"folders such as '{parts[0].capitalize()} Segmentation Data/Test/COVID-19/images' with '{masks} masks' beside",
    )


def _pairs(
    source: Source, found: Mapping[str, re.Match[str]]
) -> tuple[dict[str, tuple[re.Match[str], str]], list[str]]:
    """Image to (match, mask), and notes."""
    masks = {_key(match): name for name, match in found.items() if match["kind"].lower() != "images"}
    images = {name: match for name, match in found.items() if match["kind"].lower() == "images"}
    if without := [name for name, match in images.items() if _key(match) not in masks]:
        raise source.missing(f"mask for {without[0]} (images without one: {len(without)})")
    splits = {match["split"].lower() for match in images.values()}
    lacking = [split for split in ("train", "val", "test") if split not in splits]
    notes = [f"the download has no {' and no '.join(lacking)}"] if lacking else []
    if alone := len(masks) - len(images):
        notes.append(f"masks without an image, left out: {alone}")
    return {name: (match, masks[_key(match)]) for name, match in images.items()}, notes


def _is_empty(source: Source, mask: str) -> bool:
    try:
        return not source.mask((mask,)).any()
    except UserError:  # writing will name it
        return False


def _name(match: re.Match[str]) -> str:
    """The file's name, after a word for the class where it does not tell it."""
    word, told = _CLASSES[match["class"].lower()][1], _WORD.search(match["stem"])
    if told and re.sub(r"[\W_]+", "_", told[0].lower()) == word:
        return plain_name(match["stem"])
    return plain_name(f"{word}_{match['stem']}")


def _key(match: re.Match[str]) -> tuple[str, str, str]:
    return match["split"].lower(), match["class"].lower(), match["stem"]
