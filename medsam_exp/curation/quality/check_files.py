"""Checks of files by themselves: readable, paired, of usable depth, size, contrast and colour."""

from collections import Counter

from medsam_exp.curation.quality.finding import Finding
from medsam_exp.curation.quality.survey import Survey

_GRAY_SHARE = 0.8  # of the images, so that a coloured one is odd
_COLOURED = 0.002  # of an image's pixels
_MOSTLY_WHITE = 0.25  # of an image's pixels


def check_files(survey: Survey) -> list[Finding]:
    """Unreadable and unpaired files, and tables that do not fit."""
    findings = [Finding("index", (), remark) for remark in survey.collection.remarks]
    for item in survey.items:
        if item.problem:
            findings.append(Finding("unpaired", (item.name,), item.problem))
    for name, facts in survey.facts.items():
        if facts.image.problem:
            findings.append(Finding("unreadable", (name,), facts.image.problem))
        for kind, mask in facts.masks.items():
            if mask.problem:
                findings.append(Finding("unusable_mask", (name,), mask.problem, mask=kind))
    return findings


def check_images(survey: Survey) -> list[Finding]:
    """Images that differ from what a scan should be."""
    return [
        *_shapes(survey),
        *_depths(survey),
        *_colours(survey),
        *_overlays(survey),
    ]


def _shapes(survey: Survey) -> list[Finding]:
    findings = []
    for name, image in survey.images.items():
        longer, shorter = max(image.width, image.height), min(image.width, image.height)
        if longer > survey.limits.aspect * shorter:
            found = f"{image.width} x {image.height} pixels, {longer / shorter:.1f} to 1"
            findings.append(Finding("aspect", (name,), found))
        if image.contrast < survey.limits.contrast:
            found = f"gray values vary by {image.contrast:.1f} of 255 (standard deviation)"
            findings.append(Finding("no_contrast", (name,), found))
        elif image.white > _MOSTLY_WHITE:
            found = f"{image.white:.0%} of the pixels are at 250 or above, {image.black:.0%} at 0"
            findings.append(Finding("clipped", (name,), found))
    return findings


def _depths(survey: Survey) -> list[Finding]:
    deep = {name: image for name, image in survey.images.items() if image.bits > 8}
    findings = [
        Finding("deep", (name,), f"{image.bits} bits, stretched from {image.lowest:g} to {image.highest:g}")
        for name, image in deep.items()
    ]
    if deep and len(deep) < len(survey.images):
        counts = Counter(image.bits for image in survey.images.values())
        said = ", ".join(f"{count} of {bits} bits" for bits, count in sorted(counts.items()))
        rare = min(counts, key=lambda bits: (counts[bits], -bits))
        names = tuple(name for name, image in survey.images.items() if image.bits == rare)
        findings.append(Finding("mixed_depth", names, f"{said}; shown are those of {rare} bits"))
    return findings


def _colours(survey: Survey) -> list[Finding]:
    coloured = {name: image.coloured for name, image in survey.images.items() if image.coloured > _COLOURED}
    if len(coloured) > (1 - _GRAY_SHARE) * len(survey.images):
        return []  # a dataset of photographs
    return [
        Finding("coloured", (name,), f"{share:.1%} of the pixels are clearly coloured")
        for name, share in coloured.items()
    ]


def _overlays(survey: Survey) -> list[Finding]:
    findings = []
    for name, image in survey.images.items():
        if words := image.overlay.words:
            found = "a line of writing" if len(words) == 1 else f"{len(words)} lines of writing"
            findings.append(Finding("words", (name,), found, boxes=words))
        if crosses := image.overlay.crosses:
            boxes = tuple((x - 8, y - 8, x + 9, y + 9) for x, y in crosses)
            findings.append(Finding("crosses", (name,), f"{len(crosses)} crosses", boxes=boxes))
    return findings
