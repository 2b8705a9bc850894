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
from dataclasses import replace
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
    divided,
    groups_of_links,
    near_duplicate_groups,
)
from medsam_exp.data.tables import faulty_rows, read_columns
from medsam_exp.types import UserError

LICENCE = "BUSI: CC0 on one public copy, 'other' on another; cite Al-Dhabyani 2020 and do not pass it on"
_FILE = r"(?P<class>benign|malignant|normal)/(?P<stem>(?P=class) ?\(\d+\))(?P<mask>_mask(?:_\d+)?)?\.png"


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
        groups_found, said = _groups(source, images, listed, skip_faulty)
        notes += said
        cases = [replace(image, group=groups_found[stem]) for stem, image in images.items()]
        facts, licence = [source.facts(), *facts], LICENCE
        if udiat is None:
            rule = "near-duplicates (perceptual hash) together, divided by hash of (seed, group)"
            cases = divided(cases, split, seed)
        else:
            rule = "the paper's combination: BUSI trains; UDIAT validates and tests, divided by hash of (seed, image)"
            other = stack.enter_context(open_source(udiat))
            others, said = udiat_download.cases_of(other, udiat_split, seed)
            cases = [*(replace(case, split="train") for case in cases), *others]
            facts.append(other.facts())
            licence += f"; {udiat_download.LICENCE}"
            notes += said
        request = command.request_of(given, rule, licence, facts)
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=busi")


def _images(source: Source, normals: bool) -> tuple[dict[str, PreparedImage], list[str]]:
    """BUSI's images by their stems, still without split and group, and notes."""
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
    images = {
        stem: PreparedImage(
            plain_name(stem), "", partial(source.pair, file, masks[stem]), class_name, source=file, key=stem
        )
        for stem, (file, class_name) in sorted(kept.items())
    }
    notes = [f"images without a lesion, dropped: {len(found) - len(kept)}"] if len(kept) < len(found) else []
    if several := sum(len(masks[stem]) > 1 for stem in images):
        notes.append(f"images with several masks, merged: {several}")
    return images, notes


def _listed_groups(file: Path | None, images: Iterable[str]) -> tuple[dict[str, str], list[SourceFacts]]:
    """Groups of a table by stem, and what the table is."""
    if file is None:
        return {}, []
    stems = {plain_name(stem): stem for stem in images}
    rows, faults, _ = read_columns(file, ["name", "group"], mend="rename its columns")
    if faults:
        raise UserError(f"{file}: {faulty_rows(faults, len(rows) + len(faults))}")
    found: dict[str, str] = {}
    for _, (name, written) in rows:
        stem = stems.get(plain_name(PurePosixPath(name).name.lower().removesuffix(".png")))
        group = written.strip()
        if stem and group and found.setdefault(stem, group) != group:
            raise UserError(f"{file} gives {stem} two groups, {found[stem]} and {group}: keep one")
    if not found:
        raise UserError(
            f"{file} names none of BUSI's images: give a table with names such as 'benign (1).png'"
        )
    data = file.read_bytes()
    return found, [SourceFacts(1, len(data), hashlib.sha256(data).hexdigest())]


def _groups(
    source: Source, images: Mapping[str, PreparedImage], listed: Mapping[str, str], skip_faulty: bool
) -> tuple[dict[str, str], list[str]]:
    """The group of near-duplicates of every image, "" for none; notes about them, and contradicting classes."""
    readers = {stem: partial(source.image, image.source) for stem, image in images.items()}
    alike = near_duplicate_groups(readers, skip_faulty)
    first: dict[str, str] = {}
    links = [(first.setdefault(group, stem), stem) for stem, group in sorted(listed.items())]
    groups = groups_of_links([*alike.items(), *links])
    members: dict[str, list[str]] = {}
    for stem, group in sorted(groups.items()):
        members.setdefault(group, []).append(stem)
    notes = []
    if groups:
        notes.append(f"images that are like another one: {len(groups)}, groups of them: {len(members)}")
    for together in members.values():
        if len({images[stem].class_name for stem in together}) > 1:
            notes.append(f"nearly the same image, with different classes: {', '.join(together)}")
    return {stem: plain_name(groups[stem]) if stem in groups else "" for stem in images}, notes
