"""Breast ultrasound: BUSI, alone or with UDIAT for validation and test as in the paper.

Reads BUSI (Al-Dhabyani 2020) as published, Dataset_BUSI_with_GT/{benign,malignant,normal}/CLASS (N).png with masks
CLASS (N)_mask.png, CLASS (N)_mask_1.png, ...; the masks of one image become one.

Alone it is divided by --split, near-duplicates together; --groups takes more of them from the groups.csv of a data
check (columns name, group). With --udiat FOLDER_OR_ZIP it is the paper's combination
(MedCLIP-SAMv2): BUSI trains, UDIAT validates (50 images) and tests (113). Which of BUSI's 647 images with a lesion the
paper left out (it names 600), and which 50 of UDIAT validated, was not published: here all 647 train, and the 50 are
drawn by hash, benign and malignant in proportion.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.datasets import udiat as udiat_download
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, write_layout
from medsam_exp.curation.prepare.output import SourceFacts
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.curation.prepare.splitting import (
    Member,
    groups_of_links,
    near_duplicate_groups,
    split_members,
)
from medsam_exp.data.tables import faulty_rows, read_columns
from medsam_exp.types import UserError

LICENCE = "BUSI: CC0 on one public copy, 'other' on another; cite Al-Dhabyani 2020 and do not pass it on"
_FILE = r"(?P<class>benign|malignant|normal)/(?P<stem>(?P=class) ?\(\d+\))(?P<mask>_mask(?:_\d+)?)?\.png"


@dataclass
class _Image:
    """An image of BUSI and its masks, by their names in the download."""

    file: str
    stem: str
    class_name: str
    masks: tuple[str, ...]
    group: str = ""


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("breast_tumors")],
    split: Annotated[str, command.amounts_of("Of BUSI alone")] = "train=80%,val=10%,test=10%",
    seed: command.Seed = 0,
    normals: Annotated[Literal["drop", "keep"], typer.Option(help="Images without a lesion.")] = "drop",
    groups: Annotated[
        Path | None, typer.Option(metavar="CSV", help="What else must stay together (name, group).")
    ] = None,
    udiat: Annotated[
        Path | None, typer.Option(metavar="SRC", help="UDIAT's download, for validation and test.")
    ] = None,
    udiat_split: Annotated[str, command.amounts_of("Of UDIAT")] = udiat_download.SPLIT,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare BUSI."""
    with ExitStack() as stack:
        source = stack.enter_context(open_source(download))
        images, notes = _images(source, normals == "keep")
        listed, facts = _listed_groups(groups, images)
        notes += _group_alike(source, images, listed, skip_faulty)
        facts, licence = [source.facts(), *facts], LICENCE
        if udiat is None:
            rule = "near-duplicates (perceptual hash) together, divided by hash of (seed, group)"
            members = [Member(image.stem, image.group, image.class_name) for image in images]
            cases = _cases(source, images, split_members(members, split, seed))
        else:
            rule = "the paper's combination: BUSI trains; UDIAT validates and tests, divided by hash of (seed, image)"
            other = stack.enter_context(open_source(udiat))
            cases = _cases(source, images, dict.fromkeys((image.stem for image in images), "train"))
            found, said = udiat_download.cases_of(other, udiat_split, seed)
            cases, notes = [*cases, *found], [*notes, *said]
            facts, licence = [*facts, other.facts()], f"{LICENCE}; {udiat_download.LICENCE}"
        request = command.request_of(given, rule, licence, facts)
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=busi")


def _images(source: Source, normals: bool) -> tuple[list[_Image], list[str]]:
    """BUSI's images in order of their names, and notes."""
    masks: dict[str, list[str]] = {}
    found: dict[str, tuple[str, str]] = {}
    for name, match in source.matches(_FILE).items():
        stem = match["stem"].lower()
        if match["mask"]:
            masks.setdefault(stem, []).append(name)
        else:
            found[stem] = (name, match["class"].lower())
    wanted = ["benign", "malignant", *(["normal"] if normals else [])]
    classes = {class_name for _, class_name in found.values()}
    if missing := [name for name in wanted if name not in classes]:
        raise source.missing(f"folder {missing[0]} with images such as '{missing[0]} (1).png'")
    kept = {stem: pair for stem, pair in found.items() if pair[1] in wanted}
    if without := [stem for stem in kept if stem not in masks]:
        raise source.missing(f"mask for '{without[0]}.png', such as '{without[0]}_mask.png'")
    images = [_Image(file, stem, cls, tuple(masks[stem])) for stem, (file, cls) in sorted(kept.items())]
    notes = [f"images without a lesion, dropped: {len(found) - len(kept)}"] if len(kept) < len(found) else []
    if several := sum(len(image.masks) > 1 for image in images):
        notes.append(f"images with several masks, merged: {several}")
    return images, notes


def _listed_groups(file: Path | None, images: list[_Image]) -> tuple[dict[str, str], list[SourceFacts]]:
    """Groups of a table by stem, and what the table is."""
    if file is None:
        return {}, []
    stems = {plain_name(image.stem): image.stem for image in images}
    rows, faults, _ = read_columns(file, ["name", "group"], mend="rename its columns")
    if faults:
        raise UserError(f"{file}: {faulty_rows(faults, len(rows) + len(faults))}")
    named = [
        (stems.get(plain_name(PurePosixPath(name).name.lower().removesuffix(".png"))), group)
        for _, (name, group) in rows
    ]
    found: dict[str, str] = {}
    for stem, group in named:
        if stem and group.strip() and found.setdefault(stem, group.strip()) != group.strip():
            raise UserError(f"{file} gives {stem} two groups, {found[stem]} and {group.strip()}: keep one")
    if not found:
        raise UserError(
            f"{file} names none of BUSI's images: give a table with names such as 'benign (1).png'"
        )
    data = file.read_bytes()
    return found, [SourceFacts(1, len(data), hashlib.sha256(data).hexdigest())]


def _group_alike(
    source: Source, images: list[_Image], listed: Mapping[str, str], skip_faulty: bool
) -> list[str]:
    """Put near-duplicates into a group; notes about them, and about those whose classes contradict each other."""
    by_stem = {image.stem: image for image in images}
    alike = near_duplicate_groups(
        {image.stem: partial(source.image, image.file) for image in images}, skip_faulty
    )
    first: dict[str, str] = {}
    links = [(first.setdefault(group, stem), stem) for stem, group in sorted(listed.items())]
    groups = groups_of_links([*alike.items(), *links])
    members: dict[str, list[_Image]] = {}
    for stem, group in sorted(groups.items()):
        by_stem[stem].group = plain_name(group)
        members.setdefault(group, []).append(by_stem[stem])
    notes = (
        [f"images that are like another one: {len(groups)}, groups of them: {len(members)}"] if groups else []
    )
    for together in members.values():
        if len({image.class_name for image in together}) > 1:
            named = ", ".join(image.stem for image in together)
            notes.append(f"nearly the same image, with different classes: {named}")
    return notes


def _cases(source: Source, images: list[_Image], splits: Mapping[str, str]) -> list[PreparedImage]:
    return [
        PreparedImage(
            name=plain_name(image.stem),
            split=splits[image.stem],
            read=partial(source.pair, image.file, image.masks),
            class_name=image.class_name,
            group=image.group,
            source=image.file,
        )
        for image in images
    ]
