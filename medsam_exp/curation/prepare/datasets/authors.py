"""The ready-made data of MedCLIP-SAMv2's authors: all four segmentation sets in one zip, with the paper's splits.

Reads SET/{train,val,test}_{images,masks}/NAME, SET being breast_tumors, brain_tumors, lung_CT or lung_Xray (other names
are taken as well), at any depth, or the unpacked folder of a single set. Images and masks are paired by name without
ending; what has no partner is said and left out. Names stay as they are, as the authors' files of prompts use them.

OUT is the folder of all data; every set gets a folder of its own in it. The sets are in the pipeline's layout already:
this command checks them, makes masks lossless {0, 255} (some are JPEG or hold 0 and 1) and adds an index with classes.
Patients and near-duplicates are not known from the names; data-check looks for the latter.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, write_layout
from medsam_exp.curation.prepare.source import Source, open_source
from medsam_exp.runtime.wording import first_few

LICENCE = "of each set as its own publishers state it; cite MedCLIP-SAMv2 (arXiv 2409.19483) and the sets"
_FILE = r"(?P<split>train|val|test)_(?P<kind>images|masks)/(?P<stem>[^/]+)\.(?P<suffix>png|jpe?g|tiff?|bmp)"
_READS = {
    "breast_tumors": "busi",
    "brain_tumors": "brain_mri",
    "lung_ct": "lung_ct",
    "lung_xray": "lung_xray",
}
_CLASSES = {
    "breast_tumors": r"benign|malignant",
    "brain_tumors": r"glioma|meningioma|pituitary",
    "lung_xray": r"non.?covid|covid|lung.opacity|viral.pneumonia|normal",
}


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("")],
    only: Annotated[str | None, typer.Option(metavar="SET", help="One set, such as breast_tumors.")] = None,
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare every set of the zip, or one."""
    with open_source(download) as source:
        sets = _sets(source)
        if only is not None and only not in sets:
            raise source.missing(f"set {only} ({', '.join(sets)} are there)")
        for name, found in sets.items():
            if only not in (None, name):
                continue
            cases, notes = _cases(source, name, found)
            used = [case.source for case in cases] + [
                file for file, match in found.items() if match["kind"].lower() == "masks"
            ]
            request = command.request_of(given, "the authors' own split", LICENCE, [source.facts(used)])
            prepared = write_layout(out / name, cases, request, notes, skip_faulty=skip_faulty)
            yield f"{name}:"
            yield from command.summary_lines(prepared, f"data={_READS.get(name.lower(), 'folder')}")


def _sets(source: Source) -> dict[str, dict[str, re.Match[str]]]:
    """Files by set, in the order of the sets' names; the source's own name where there is one set without a folder."""
    sets: dict[str, dict[str, re.Match[str]]] = {}
    for name, match in source.matches(_FILE).items():
        folders = name.split("/")[:-2]
        sets.setdefault(folders[-1] if folders else source.shown.stem, {})[name] = match
    if not sets:
        raise source.missing("set, such as breast_tumors/test_images with breast_tumors/test_masks")
    return dict(sorted(sets.items()))


def _cases(
    source: Source, name: str, found: Mapping[str, re.Match[str]]
) -> tuple[list[PreparedImage], list[str]]:
    """Pairs of a set, and notes about what has no partner."""
    images, masks = (
        {
            (match["split"].lower(), match["stem"]): file
            for file, match in found.items()
            if match["kind"].lower() == kind
        }
        for kind in ("images", "masks")
    )
    both = sorted(images.keys() & masks.keys())
    if not both:
        raise source.missing(f"image of {name} whose mask has the same name")
    notes = [
        *_unpaired("images without a mask", images.keys() - masks.keys()),
        *_unpaired("masks without an image", masks.keys() - images.keys()),
    ]
    if lossy := sum(masks[key].lower().endswith((".jpg", ".jpeg")) for key in both):
        notes.append(f"JPEG masks, cut at half of the full value: {lossy}")
    cases = [
        PreparedImage(
            name=key[1],
            split=key[0],
            read=partial(source.pair, images[key], (masks[key],)),
            class_name=_class_of(name, key[1]),
            source=images[key],
        )
        for key in both
    ]
    if name.lower() in _CLASSES and (without := [case.name for case in cases if not case.class_name]):
        notes.append(f"names that tell no class: {len(without)} (first: {without[0]})")
    return cases, notes


def _unpaired(what: str, keys: Iterable[tuple[str, str]]) -> list[str]:
    names = [f"{split}/{stem}" for split, stem in sorted(keys)]
    return [f"{what}, left out: {len(names)} ({first_few(names, 5)})"] if names else []


def _class_of(name: str, stem: str) -> str:
    found = re.search(_CLASSES.get(name.lower(), r"(?!)"), stem, re.IGNORECASE)
    return " ".join(re.split(r"[\W_]+", found[0].lower())) if found else ""
