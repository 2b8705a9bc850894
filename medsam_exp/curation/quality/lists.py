"""A data check as files for programs: numbers, findings.csv and .json, images to leave out, groups to split by."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TypedDict

from medsam_exp.curation.quality.checks import Examination
from medsam_exp.curation.quality.duplicates import groups_of
from medsam_exp.curation.quality.facts import DatasetItem, MeasuredDataset
from medsam_exp.curation.quality.finding import KINDS
from medsam_exp.data.tables import csv_text
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text

_NO_CLASS = "no class"


class SplitCounts(TypedDict):
    """One split in numbers; masks are of any kind, groups known patients or the like."""

    name: str  # "" where the dataset has no splits
    images: int
    masks: int
    empty: int  # masks without a pixel
    classes: dict[str, int]
    groups: int
    sizes: list[str]  # the most frequent first, such as "500 x 400 (12)"
    largest: int  # pixels of a side
    smallest: int
    coverage: float | None  # median share of the image, of masks with any pixel


class Overview(TypedDict):
    """A dataset in numbers: images by bit depth and suffix, and how many a format may have altered."""

    images: int
    splits: list[SplitCounts]
    classes: list[str]  # the largest first
    bits: dict[str, int]
    formats: dict[str, int]
    lossy: int


def overview(dataset: MeasuredDataset) -> Overview:
    """Count a dataset."""
    by_split: dict[str, list[str]] = defaultdict(list)
    suffixes: Counter[str] = Counter()
    for item in dataset.items:
        if item.image is not None:
            by_split[item.split].append(item.name)
            suffixes[item.image.suffix.lower().lstrip(".")] += 1
    parts = [_counted(dataset, split, names) for split, names in sorted(by_split.items())]
    classes = sum((Counter(part["classes"]) for part in parts), Counter())
    bits = Counter(image.bits for image in dataset.images.values())
    return {
        "images": suffixes.total(),
        "splits": parts,
        "classes": [name for name, _ in classes.most_common()],
        "bits": {f"{depth} bits": count for depth, count in sorted(bits.items())},
        "formats": dict(suffixes.most_common()),
        "lossy": sum(image.lossy for image in dataset.images.values()),
    }


def _counted(dataset: MeasuredDataset, split: str, names: Sequence[str]) -> SplitCounts:
    images = [dataset.images[name] for name in names if name in dataset.images]
    inside = set(names)
    masks = [mask for (name, _), mask in dataset.masks.items() if name in inside]
    items = [dataset.by_name[name] for name in names]
    sizes = Counter(f"{image.width} x {image.height}" for image in images)
    sides = [side for image in images for side in (image.width, image.height)]
    shares = [mask.share for mask in masks if mask.foreground]
    labelled = any(item.class_name for item in dataset.items)
    return {
        "name": split,
        "images": len(names),
        "masks": len(masks),
        "empty": sum(not mask.foreground for mask in masks),
        "classes": dict(Counter(item.class_name or _NO_CLASS for item in items)) if labelled else {},
        "groups": len({item.group for item in items if item.group}),
        "sizes": [f"{size} ({count})" for size, count in sizes.most_common(3)],
        "largest": max(sides, default=0),
        "smallest": min(sides, default=0),
        "coverage": median(shares) if shares else None,
    }


_EVERY_ITEM = ("unreadable", "unpaired", "unusable_mask", "identical_labels", "identical_masks", "outline")
"""Kinds whose images are all proposed to be left out."""
_KEPT_FIRST = ("test", "val")
"""Of copies in several splits, those of the first of these stay: published test splits remain whole."""


def write_lists(examination: Examination, folder: Path) -> None:
    """Write findings.csv, exclude.csv, groups.csv and findings.json to a folder."""
    items = examination.dataset.by_name
    groups = groups_of(items, examination.duplicates)
    left_out = proposed_exclusions(examination)
    severities = {kind: described.severity for kind, described in KINDS.items()}
    record = {
        "root": str(examination.dataset.listing.root),
        "form": examination.dataset.listing.form,
        "overview": overview(examination.dataset),
        "near_copies_searched": examination.duplicates.searched,
        "limits": asdict(examination.dataset.limits),
        "findings": [{"severity": severities[each.kind], **asdict(each)} for each in examination.findings],
        "exclude": left_out,
    }
    rows = []
    for each in examination.findings:
        first, *others = each.items or ("",)
        rows.append((severities[each.kind], each.kind, first, "; ".join(others), each.mask, each.message))
    texts = {
        "findings.csv": csv_text(("severity", "kind", "image", "others", "mask", "message"), rows),
        "exclude.csv": csv_text(("name", "split", "why"), _named(items, left_out)),
        "groups.csv": csv_text(("name", "split", "group"), _named(items, groups)),
        "findings.json": json_text(record, indent=1),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())


def proposed_exclusions(examination: Examination) -> dict[str, str]:
    """Images that should be left out, with the reason, by name.

    Of plain copies the first stays; of copies in several splits those in the test split; of contradicting ones none.
    """
    items = examination.dataset.by_name
    found: dict[str, str] = {}
    for finding in examination.findings:
        title = KINDS[finding.kind].title.lower()
        if finding.kind in _EVERY_ITEM:
            leave = finding.items
        elif finding.kind in ("identical_across_splits", "near_across_splits"):
            leave = _outside_of_the_kept_split([items[name] for name in finding.items])
        elif finding.kind == "identical":
            leave = finding.items[1:]
        else:
            continue
        for name in leave:
            found.setdefault(name, title)
    return dict(sorted(found.items()))


def _outside_of_the_kept_split(items: Sequence[DatasetItem]) -> tuple[str, ...]:
    splits = {item.split for item in items}
    kept = next((split for split in _KEPT_FIRST if split in splits), min(splits))
    return tuple(item.name for item in items if item.split != kept)


def _named(items: Mapping[str, DatasetItem], said: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Rows with an image's file name as the dataset's own index has it, its split, and what is said of it."""
    for name, text in said.items():
        item = items[name]
        file = item.name
        if item.image is None:
            file = item.stem
        elif item.name == f"{item.split}/{item.stem}":
            file = item.image.name
        yield file, item.split, text
