"""A data check as files for programs: numbers, findings.csv and .json, images to leave out, groups to split by."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from medsam_exp.curation.quality.checks import Examination
from medsam_exp.curation.quality.duplicates import groups_of
from medsam_exp.curation.quality.facts import DatasetItem, MeasuredDataset
from medsam_exp.curation.quality.finding import KINDS, Finding
from medsam_exp.data.tables import csv_text
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text

NO_CLASS = "no class"


@dataclass(frozen=True)
class SplitCounts:
    """One split in numbers.

    Attributes:
        name: "" where the dataset has no splits.
        images: how many.
        masks: how many, of any kind.
        empty: of them without a pixel.
        classes: images by class.
        groups: how many patients or groups are known.
        sizes: most frequent sizes, the most frequent first, such as "500 x 400 (12)".
        largest: most pixels of a side.
        smallest: fewest pixels of a side.
        coverage: median share of the image that a mask with any pixel covers; None without such masks.
    """

    name: str
    images: int
    masks: int
    empty: int
    classes: dict[str, int]
    groups: int
    sizes: tuple[str, ...]
    largest: int
    smallest: int
    coverage: float | None


@dataclass(frozen=True)
class Overview:
    """A dataset in numbers.

    Attributes:
        images: how many.
        splits: each by itself.
        classes: all of them, the largest first.
        bits: images by bit depth.
        formats: images by suffix.
        lossy: images in a format that may have altered values.
    """

    images: int
    splits: tuple[SplitCounts, ...]
    classes: tuple[str, ...]
    bits: dict[str, int]
    formats: dict[str, int]
    lossy: int


def overview(dataset: MeasuredDataset) -> Overview:
    """Count a dataset."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for item in dataset.items:
        if item.image is not None:
            by_split[item.split].append(item.name)
    parts = tuple(_split(dataset, split, names) for split, names in sorted(by_split.items()))
    classes = sum((Counter(part.classes) for part in parts), Counter())
    images = dataset.images.values()
    suffixes = Counter(
        item.image.suffix.lower().lstrip(".") for item in dataset.items if item.image is not None
    )
    return Overview(
        images=sum(part.images for part in parts),
        splits=parts,
        classes=tuple(name for name, _ in classes.most_common()),
        bits={
            f"{bits} bits": count for bits, count in sorted(Counter(image.bits for image in images).items())
        },
        formats=dict(suffixes.most_common()),
        lossy=sum(image.lossy for image in images),
    )


def _split(dataset: MeasuredDataset, split: str, names: Sequence[str]) -> SplitCounts:
    images = [dataset.images[name] for name in names if name in dataset.images]
    inside = set(names)
    masks = [mask for (name, _), mask in dataset.masks.items() if name in inside]
    items = [dataset.by_name[name] for name in names]
    sizes = Counter(f"{image.width} x {image.height}" for image in images)
    sides = [side for image in images for side in (image.width, image.height)]
    shares = [mask.share for mask in masks if mask.foreground]
    labelled = any(item.class_name for item in dataset.items)
    return SplitCounts(
        name=split,
        images=len(names),
        masks=len(masks),
        empty=sum(not mask.foreground for mask in masks),
        classes=dict(Counter(item.class_name or NO_CLASS for item in items)) if labelled else {},
        groups=len({item.group for item in items if item.group}),
        sizes=tuple(f"{size} ({count})" for size, count in sizes.most_common(3)),
        largest=max(sides, default=0),
        smallest=min(sides, default=0),
        coverage=median(shares) if shares else None,
    )


_EVERY_ITEM = ("unreadable", "unpaired", "unusable_mask", "identical_labels", "identical_masks", "outline")
"""Kinds whose images are all proposed to be left out."""
_KEPT_FIRST = ("test", "val")
"""Of copies in several splits, those of the first of these stay: published test splits remain whole."""


def write_lists(examination: Examination, folder: Path) -> list[Path]:
    """Write findings.csv, exclude.csv, groups.csv and findings.json.

    Args:
        examination: what was found.
        folder: where to write.

    Returns:
        Paths of the files.
    """
    items = examination.dataset.by_name
    groups = groups_of(items, examination.duplicates)
    left_out = proposed_exclusions(examination)
    tables = {
        "findings.csv": csv_text(
            ("severity", "kind", "image", "others", "mask", "message"),
            (_row(finding) for finding in examination.findings),
        ),
        "exclude.csv": csv_text(
            ("name", "split", "why"),
            ((_file_name(items[name]), items[name].split, why) for name, why in left_out.items()),
        ),
        "groups.csv": csv_text(
            ("name", "split", "group"),
            ((_file_name(items[name]), items[name].split, group) for name, group in groups.items()),
        ),
        "findings.json": json_text(_as_json(examination, left_out), indent=1),
    }
    for name, content in tables.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in tables]


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


def _file_name(item: DatasetItem) -> str:
    """As the dataset's own index names it."""
    if item.image is None:
        return item.stem
    return item.image.name if item.name == f"{item.split}/{item.stem}" else item.name


def _row(finding: Finding) -> tuple[str, ...]:
    first, *others = finding.items or ("",)
    severity = KINDS[finding.kind].severity
    return severity, finding.kind, first, "; ".join(others), finding.mask, finding.message


def _as_json(examination: Examination, left_out: dict[str, str]) -> dict[str, object]:
    said = overview(examination.dataset)
    return {
        "root": str(examination.dataset.listing.root),
        "form": examination.dataset.listing.form,
        "overview": asdict(said),
        "near_copies_searched": examination.duplicates.searched,
        "limits": asdict(examination.dataset.limits),
        "findings": [
            {"severity": KINDS[each.kind].severity, **asdict(each)} for each in examination.findings
        ],
        "exclude": left_out,
    }
