"""The page of a data check: every kind of finding with pictures, what it means, and what mends it; one offline file."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medsam_exp.curation.quality.checks import Examination
from medsam_exp.curation.quality.facts import MeasuredDataset
from medsam_exp.curation.quality.finding import KINDS, SEVERITIES, Finding
from medsam_exp.curation.quality.lists import overview, proposed_exclusions
from medsam_exp.data.decoding import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.metrics.measures import DISCLAIMER
from medsam_exp.report.web.drawings import Drawings, draw, write_with_drawings
from medsam_exp.report.web.render import as_json
from medsam_exp.types import Mask, RGBImage, UserError

_PICTURED = 18  # findings of a kind that are shown with pictures
_FIRST = 4  # of each kind come before the rest of any, should room run out
_IMAGES = 4  # of a finding
_LISTED = 3000  # rows of the table of all findings
_ARRANGED = {
    "prepared": "SPLIT_images, SPLIT_masks",
    "raw": "original folders",
    "pairs": "image-caption pairs",
}


def write_page(examination: Examination, path: Path, *, command: str) -> None:
    """Write the page as one self-contained HTML file.

    Args:
        examination: what was found.
        path: of the page.
        command: that makes this page again.
    """
    content = {**_content(examination, command), "exclude": str(path.parent / "exclude.csv")}
    template = Path(__file__).with_name("page.html")
    write_with_drawings(path, template, content, partial(_pictures, examination))


def _content(examination: Examination, command: str) -> dict[str, Any]:
    """Everything that the template says, but the pictures."""
    listing, by_kind = examination.dataset.listing, examination.by_kind()
    splits = sorted({item.split for item in listing.items} - {""})
    headings = {kind: KINDS[kind].title for kind in by_kind}
    sections = {"glance": "At a glance", "dataset": "The dataset", **headings, "all": "Every finding"}
    return {
        "title": listing.root.resolve().name,
        "kind": "data check",
        "disclaimer": DISCLAIMER,
        "choices": [
            ("folder", str(listing.root)),
            ("arranged as", _ARRANGED[listing.form]),
            ("splits", ", ".join(splits) or "none"),
            ("images", str(sum(item.image is not None for item in listing.items))),
        ],
        "sections": sections if by_kind else {"dataset": "The dataset"},
        "overview": overview(examination.dataset),
        "counts": {severity: len(examination.of(severity)) for severity in SEVERITIES},
        "kinds": KINDS,
        "groups": {kind: [_card(finding) for finding in own[:_PICTURED]] for kind, own in by_kind.items()},
        "totals": {kind: len(own) for kind, own in by_kind.items()},
        "rows": examination.findings[:_LISTED],
        "more_rows": max(0, len(examination.findings) - _LISTED),
        "left_out": len(proposed_exclusions(examination)),
        "searched": examination.duplicates.searched,
        "command": command,
        "data_json": as_json({}),
        "plotly": "",
    }


def _card(finding: Finding) -> dict[str, Any]:
    """A finding with the names of its pictures."""
    return {
        "message": finding.message,
        "names": finding.items[:_IMAGES],
        "pictures": list(_pictured(finding)),
        "more": max(0, len(finding.items) - _IMAGES),
        "boxes": [list(box) for box in finding.boxes],
    }


def _pictured(finding: Finding) -> dict[str, tuple[str, str]]:
    """Item and kind of mask by the name of each picture of a finding."""
    kind = finding.mask
    return {f"{name} | {kind}" if kind else name: (name, kind) for name in finding.items[:_IMAGES]}


def _pictures(examination: Examination, room: int) -> Drawings:
    """Thumbnails of all that is shown, the first findings of each kind before the others."""
    dataset = examination.dataset
    shown: dict[str, tuple[str, str]] = {}
    for part in (slice(0, _FIRST), slice(_FIRST, _PICTURED)):
        for findings in examination.by_kind().values():
            for finding in findings[part]:
                shown |= _pictured(finding)
    readable = [picture for picture, (name, _) in shown.items() if name in dataset.images]
    return draw(readable, lambda picture: _read(dataset, *shown[picture]), {}, room)


def _read(dataset: MeasuredDataset, name: str, kind: str) -> tuple[RGBImage, Mask | None]:
    """An image, and its mask where there is a usable one."""
    item = dataset.by_name[name]
    assert item.image is not None
    image = read_image(item.image)
    if (name, kind) not in dataset.masks:
        return image, None
    try:
        masks = [read_mask(path)[0] for path in item.masks[kind]]
    except UserError:  # a mask of class labels, whose values are not known here
        return image, None
    return image, np.logical_or.reduce(masks)
