"""What a dataset consists of, in numbers."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from medsam_exp.curation.quality.survey import Survey

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


def overview(survey: Survey) -> Overview:
    """Count a dataset."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for item in survey.items:
        if item.image is not None:
            by_split[item.split].append(item.name)
    parts = tuple(_split(survey, split, names) for split, names in sorted(by_split.items()))
    classes = sum((Counter(part.classes) for part in parts), Counter())
    images = survey.images.values()
    suffixes = Counter(
        item.image.suffix.lower().lstrip(".") for item in survey.items if item.image is not None
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


def _split(survey: Survey, split: str, names: Sequence[str]) -> SplitCounts:
    images = [survey.images[name] for name in names if name in survey.images]
    inside = set(names)
    masks = [mask for (name, _), mask in survey.masks.items() if name in inside]
    items = [survey.by_name[name] for name in names]
    sizes = Counter(f"{image.width} x {image.height}" for image in images)
    sides = [side for image in images for side in (image.width, image.height)]
    shares = [mask.share for mask in masks if mask.foreground]
    labelled = any(item.class_name for item in survey.items)
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
