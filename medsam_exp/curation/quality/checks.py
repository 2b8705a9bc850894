"""From measured facts to findings: checks of files, images and masks, and all checks in their order."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from medsam_exp.curation.quality.burnt_in import Box
from medsam_exp.curation.quality.duplicates import Duplicates, check_duplicates, check_splits
from medsam_exp.curation.quality.facts import DatasetItem, ImageFacts, Limits, MaskFacts, MeasuredDataset
from medsam_exp.curation.quality.finding import KINDS, SEVERITIES, Finding, Severity

_GRAY_SHARE = 0.8  # of the images, so that a coloured one is odd
_COLOURED = 0.002  # of an image's pixels
_MOSTLY_WHITE = 0.25  # of an image's pixels


def _files(dataset: MeasuredDataset) -> list[Finding]:
    """Unreadable and unpaired files, and tables that do not fit."""
    findings = [Finding("index", (), remark) for remark in dataset.listing.remarks]
    for item in dataset.items:
        if item.problem:
            findings.append(Finding("unpaired", (item.name,), item.problem))
    for name, facts in dataset.facts.items():
        if facts.image.problem:
            findings.append(Finding("unreadable", (name,), facts.image.problem))
        for kind, mask in facts.masks.items():
            if mask.problem:
                findings.append(Finding("unusable_mask", (name,), mask.problem, mask=kind))
    return findings


def _images(dataset: MeasuredDataset) -> list[Finding]:
    """Images that differ from what a scan should be, or from the others."""
    images = dataset.images
    findings = [
        Finding(kind, (name,), said, boxes=boxes)
        for name, image in images.items()
        for kind, said, boxes in _of_image(image, dataset.limits)
    ]
    depths = Counter(image.bits for image in images.values())
    if len(depths) > 1 and 8 in depths:
        counts = ", ".join(f"{count} of {bits} bits" for bits, count in sorted(depths.items()))
        rare = min(depths, key=lambda bits: (depths[bits], -bits))
        names = tuple(name for name, image in images.items() if image.bits == rare)
        findings.append(Finding("mixed_depth", names, f"{counts}; shown are those of {rare} bits"))
    coloured = {name: image.coloured for name, image in images.items() if image.coloured > _COLOURED}
    if len(coloured) <= (1 - _GRAY_SHARE) * len(images):  # no dataset of photographs
        findings += [
            Finding("coloured", (name,), f"{share:.1%} of the pixels are clearly coloured")
            for name, share in coloured.items()
        ]
    return findings


def _of_image(image: ImageFacts, limits: Limits) -> Iterator[tuple[str, str, tuple[Box, ...]]]:
    """Kind of finding, sentence, and where."""
    longer, shorter = max(image.width, image.height), min(image.width, image.height)
    if longer > limits.aspect * shorter:
        yield "aspect", f"{image.width} x {image.height} pixels, {longer / shorter:.1f} to 1", ()
    if image.contrast < limits.contrast:
        yield "no_contrast", f"gray values vary by {image.contrast:.1f} of 255 (standard deviation)", ()
    elif image.white > _MOSTLY_WHITE:
        yield "clipped", f"{image.white:.0%} of the pixels are at 250 or above, {image.black:.0%} at 0", ()
    if image.bits > 8:
        yield "deep", f"{image.bits} bits, stretched from {image.lowest:g} to {image.highest:g}", ()
    if words := image.overlay.words:
        yield "words", "a line of writing" if len(words) == 1 else f"{len(words)} lines of writing", words
    if crosses := image.overlay.crosses:
        yield "crosses", f"{len(crosses)} crosses", tuple((x - 8, y - 8, x + 9, y + 9) for x, y in crosses)


_NORMAL = re.compile(
    r"(?<![a-z])(normal|healthy|negative|control|no[ _-]?(tumou?rs?|findings?|lesions?))(?![a-z])", re.I
)
_FULL = 0.95  # of the image
_MOST = 0.5  # of the image


def _masks(dataset: MeasuredDataset) -> list[Finding]:
    """Empty, tiny, full, inverted, lossy masks, stray pixels, and outlines drawn into images."""
    # Where every normal image has a mask, masks show an organ, as of lungs, and none of them is odd.
    of_lesions = {
        kind
        for (name, kind), mask in dataset.masks.items()
        if _normal(dataset.by_name[name]) and not mask.foreground
    }
    return [
        Finding(what, (name,), said, mask=kind)
        for (name, kind), mask in dataset.masks.items()
        for what, said in (
            *_extent(dataset, dataset.by_name[name], kind, mask, of_lesion=kind in of_lesions),
            *_quality(mask),
        )
    ]


def _extent(
    dataset: MeasuredDataset, item: DatasetItem, kind: str, mask: MaskFacts, *, of_lesion: bool
) -> list[tuple[str, str]]:
    """How much a mask covers, as (kind of finding, sentence)."""
    of = f"the mask {kind}" if kind else "the mask"
    if mask.foreground == 0:
        of_a_class = dataset.listing.form == "prepared" and bool(kind)
        return [] if _normal(item) or of_a_class else [("empty_mask", f"{of} has no pixel")]
    if _normal(item) and of_lesion:
        said = f"the class is {item.class_name}, {of} has {mask.foreground} pixels"
        return [("normal_with_mask", said)]
    if mask.share >= _FULL:
        return [("full_mask", f"{of} covers {mask.share:.1%} of the image")]
    if mask.share > _MOST and mask.corners == 4:
        return [("inverted_mask", f"{of} covers {mask.share:.0%} of the image and all four corners")]
    limits = dataset.limits
    if mask.foreground < limits.tiny_pixels or mask.share < limits.tiny_share:
        pixels = "1 pixel" if mask.foreground == 1 else f"{mask.foreground} pixels"
        return [("tiny_mask", f"{of} has {pixels}, {mask.share:.3%} of the image")]
    return []


def _normal(item: DatasetItem) -> bool:
    return item.class_name is not None and _NORMAL.search(item.class_name) is not None


def _quality(mask: MaskFacts) -> list[tuple[str, str]]:
    found = []
    if mask.lossy:
        said = "the mask has blurred values or a lossy format, and is cut at half of its maximum"
        found.append(("lossy_mask", said))
    if mask.outlined:
        found.append(("outline", "a line runs along the border of the mask"))
    if mask.specks:
        parts = "a part" if mask.specks == 1 else f"{mask.specks} parts"
        found.append(("specks", f"{parts} of hardly any pixels beside the object"))
    return found


@dataclass(frozen=True)
class Examination:
    """A dataset and all that was found in it."""

    dataset: MeasuredDataset
    duplicates: Duplicates
    findings: tuple[Finding, ...]  # errors first, kinds in the order of `KINDS`

    def of(self, severity: Severity) -> list[Finding]:
        """Findings of one severity."""
        return [finding for finding in self.findings if KINDS[finding.kind].severity == severity]

    def by_kind(self) -> dict[str, list[Finding]]:
        """Findings by kind; kinds without one are left out."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.kind, []).append(finding)
        return found


def examine(dataset: MeasuredDataset, duplicates: Duplicates) -> Examination:
    """Run all checks.

    Args:
        dataset: the dataset; what is not measured is checked by names and tables alone.
        duplicates: what is known of them.
    """
    found = [
        *_files(dataset),
        *check_duplicates(dataset, duplicates),
        *check_splits(dataset),
        *_masks(dataset),
        *_images(dataset),
    ]
    kinds = list(KINDS)

    def place(finding: Finding) -> tuple[int, int, tuple[str, ...], str]:
        severity = SEVERITIES.index(KINDS[finding.kind].severity)
        return severity, kinds.index(finding.kind), finding.items, finding.mask

    return Examination(dataset, duplicates, tuple(sorted(found, key=place)))
