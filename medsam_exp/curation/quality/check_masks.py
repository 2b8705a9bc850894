"""Checks of each mask by itself and with its image."""

import re

from medsam_exp.curation.quality.facts import MaskFacts
from medsam_exp.curation.quality.finding import Finding
from medsam_exp.curation.quality.items import Item
from medsam_exp.curation.quality.survey import Survey

_NORMAL = re.compile(
    r"(?<![a-z])(normal|healthy|negative|control|no[ _-]?(tumou?rs?|findings?|lesions?))(?![a-z])", re.I
)
_FULL = 0.95  # of the image
_MOST = 0.5  # of the image


def check_masks(survey: Survey) -> list[Finding]:
    """Empty, tiny, full, inverted, lossy masks, stray pixels, and outlines drawn into images."""
    findings = []
    # Where every normal image has a mask, masks show an organ, as of lungs, and none of them is odd.
    of_lesions = {
        kind
        for (name, kind), mask in survey.masks.items()
        if _normal(survey.by_name[name]) and not mask.foreground
    }
    for (name, kind), mask in survey.masks.items():
        item = survey.by_name[name]
        if _normal(item) and kind in of_lesions and mask.foreground:
            said = f"the class is {item.class_name}, {_called(kind)} has {mask.foreground} pixels"
            found = [("normal_with_mask", said), *_quality(mask)]
        else:
            found = [*_extent(survey, item, kind, mask), *_quality(mask)]
        findings += [Finding(what, (name,), said, mask=kind) for what, said in found]
    return findings


def _extent(survey: Survey, item: Item, kind: str, mask: MaskFacts) -> list[tuple[str, str]]:
    """How much a mask covers, as (kind of finding, sentence)."""
    of = _called(kind)
    of_a_class = survey.collection.form == "prepared" and bool(kind)
    if mask.foreground == 0:
        return [] if _normal(item) or of_a_class else [("empty_mask", f"{of} has no pixel")]
    if mask.share >= _FULL:
        return [("full_mask", f"{of} covers {mask.share:.1%} of the image")]
    if mask.share > _MOST and mask.corners == 4:
        return [("inverted_mask", f"{of} covers {mask.share:.0%} of the image and all four corners")]
    limits = survey.limits
    if mask.foreground < limits.tiny_pixels or mask.share < limits.tiny_share:
        pixels = "1 pixel" if mask.foreground == 1 else f"{mask.foreground} pixels"
        return [("tiny_mask", f"{of} has {pixels}, {mask.share:.3%} of the image")]
    return []


def _normal(item: Item) -> bool:
    return item.class_name is not None and _NORMAL.search(item.class_name) is not None


def _called(kind: str) -> str:
    return f"the mask {kind}" if kind else "the mask"


def _quality(mask: MaskFacts) -> list[tuple[str, str]]:
    found = []
    if mask.lossy:
        found.append(
            ("lossy_mask", "the mask has blurred values or a lossy format, and is cut at half of its maximum")
        )
    if mask.outlined:
        found.append(("outline", "a line runs along the border of the mask"))
    if mask.specks:
        parts = "a part" if mask.specks == 1 else f"{mask.specks} parts"
        found.append(("specks", f"{parts} of hardly any pixels beside the object"))
    return found
