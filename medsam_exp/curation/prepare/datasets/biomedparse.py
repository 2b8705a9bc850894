"""BiomedParseData (Zhao 2024): one sample for each image and target, nine modalities, texts from the files' names.

Published with doi 10.1038/s41592-024-02499-w.

Reads SET/{train,test}/NAME_MODALITY_SITE.png with SET/{train,test}_mask/NAME_MODALITY_SITE_TARGET.png of one or many
sets; a plus sign in a name is a space. A sample's class is its target, and its text is the publishers' own form,
"TARGET in SITE MODALITY" (column `text` of index.csv). Samples of one image are one group, so intervals go by image;
patients are not known. The publishers' split is kept; it has no validation images.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medsam_exp.curation.prepare import command
from medsam_exp.curation.prepare.layout import PreparedImage, plain_name, unique_names, write_layout
from medsam_exp.curation.prepare.source import Source, open_source

LICENCE = "of each dataset within, as the page of microsoft/BiomedParseData on Hugging Face lists them; cite Zhao 2024"
_IMAGE = r"(?P<split>train|test)/(?P<stem>[^/]+_(?P<modality>[^/_]+)_(?P<site>[^/_]+))\.png"
_MASK = r"(?P<split>train|test)_mask/(?P<stem>[^/]+)_(?P<target>[^/_]+)\.png"


def prepare(
    given: typer.Context,
    download: command.Download,
    out: Annotated[Path, command.in_data("biomedparse")],
    skip_faulty: command.SkipFaulty = False,
) -> Iterable[str]:
    """Prepare BiomedParseData."""
    with open_source(download) as source:
        images = {_key(name, match): (name, match) for name, match in source.matches(_IMAGE).items()}
        masks, notes = _masks(source, images)
        names = unique_names(
            {mask: plain_name(f"{match['stem']}_{match['target']}") for mask, match in masks.items()}
        )
        cases = [
            _case(source, names[mask], mask, match, *images[_key(mask, match)])
            for mask, match in masks.items()
        ]
        request = command.request_of(given, "the publishers' own split", LICENCE, [source.facts()])
        prepared = write_layout(out, cases, request, notes, skip_faulty=skip_faulty)
    yield from command.summary_lines(prepared, "data=biomedparse", command.TEXTS_OF_INDEX)


def _masks(
    source: Source, images: Mapping[tuple[str, str, str], tuple[str, re.Match[str]]]
) -> tuple[dict[str, re.Match[str]], list[str]]:
    """Masks of images that are there, and notes."""
    found = source.matches(_MASK)
    if not found or not images:
        lacking = "test_mask/NAME_MODALITY_SITE_TARGET.png" if images else "test/NAME_MODALITY_SITE.png"
        raise source.missing(f"files such as {lacking}")
    masks = {name: match for name, match in found.items() if _key(name, match) in images}
    alone = [name for name in found if name not in masks]
    shown = {_key(name, match) for name, match in masks.items()}
    notes = [f"masks without an image, left out: {len(alone)} (first: {alone[0]})"] if alone else []
    if unused := [name for key, (name, _) in images.items() if key not in shown]:
        notes.append(f"images without a mask, left out: {len(unused)} (first: {unused[0]})")
    if not masks:
        raise source.missing(f"image for {alone[0]}")
    return masks, notes


def _case(
    source: Source, name: str, mask: str, of_mask: re.Match[str], image: str, of_image: re.Match[str]
) -> PreparedImage:
    target, site, modality = (
        _words(part) for part in (of_mask["target"], of_image["site"], of_image["modality"])
    )
    return PreparedImage(
        name=name,
        split=of_image["split"].lower(),
        read=partial(source.pair, image, (mask,)),
        class_name=target,
        group=image.removesuffix(".png"),
        source=mask,
        texts={"text": f"{target} in {site} {modality}", "modality": modality, "site": site},
    )


def _key(name: str, match: re.Match[str]) -> tuple[str, str, str]:
    """Folder of the set, split and image."""
    return name[: match.start("split")], match["split"].lower(), match["stem"]


def _words(part: str) -> str:
    return " ".join(part.replace("+", " ").split())
