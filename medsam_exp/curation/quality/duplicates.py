"""Images that are the same, pixel by pixel or nearly: groups of them, leaks and contradictions among them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from medsam_exp.curation.quality.facts import DatasetItem, ImageFacts, MaskFacts, MeasuredDataset
from medsam_exp.curation.quality.finding import Finding
from medsam_exp.data.connected_components import connected_components
from medsam_exp.data.near_duplicates import find_near_duplicates, unpack_thumbnail
from medsam_exp.runtime.wording import joined_with_and


@dataclass(frozen=True)
class _Link:
    """Two near-duplicates, each the names of all images with exactly the same pixels; see `NearDuplicate`."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    correlation: float
    turned: str


@dataclass(frozen=True)
class Duplicates:
    """All duplicates of a dataset."""

    same: tuple[tuple[str, ...], ...]  # names of images with exactly the same pixels, at least two each
    near: tuple[_Link, ...]  # pairs of near-duplicates
    searched: bool = True  # whether near-duplicates were looked for

    def near_groups(self) -> list[list[_Link]]:
        """Pairs of near-duplicates by connected component."""
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, link in enumerate(self.near):
            places[link.first].append(place)
            places[link.second].append(place)
        touching = [pair for found in places.values() for pair in pairwise(found)]
        groups = connected_components(range(len(self.near)), touching)
        return [[self.near[place] for place in group] for group in groups]


def find_duplicates(images: Mapping[str, ImageFacts], *, near: bool = True) -> Duplicates:
    """Find exact duplicates by digest and near-duplicates by perceptual hash.

    Args:
        images: that can be read, by name.
        near: whether to look for near-duplicates, too.
    """
    by_pixels: dict[str, list[str]] = defaultdict(list)
    for name in sorted(images):
        by_pixels[images[name].pixels].append(name)
    distinct = [tuple(names) for names in by_pixels.values()]
    same = tuple(names for names in distinct if len(names) > 1)
    if not near:
        return Duplicates(same, (), searched=False)
    first = [images[names[0]] for names in distinct]
    found = find_near_duplicates([image.hashes for image in first], [image.thumbnail for image in first])
    links = (_Link(distinct[a.first], distinct[a.second], a.correlation, a.turned) for a in found)
    return Duplicates(same, tuple(links))


def groups_of(items: Mapping[str, DatasetItem], duplicates: Duplicates) -> dict[str, str]:
    """Group images that must not be divided by a split: duplicates, and images of one patient.

    A group is called after the patient, where its first image has one, else after its first image.

    Args:
        items: images by name.
        duplicates: found among them.

    Returns:
        The group by name.
    """
    names = sorted(items)
    links = [(group[0], name) for group in duplicates.same for name in group[1:]]
    links += [(link.first[0], link.second[0]) for link in duplicates.near]
    first_of: dict[str, str] = {}
    for name in names:
        if group := items[name].group:
            links.append((first_of.setdefault(group, name), name))
    found = {}
    for members in connected_components(names, links):
        found.update(dict.fromkeys(members, items[members[0]].group or members[0]))
    return found


_NEAR_MASK = 0.7  # Dice; framing and annotators differ somewhat


def check_duplicates(dataset: MeasuredDataset, duplicates: Duplicates) -> list[Finding]:
    """Check duplicates for leaks across splits and for contradicting classes or masks.

    Args:
        dataset: with measured images and masks.
        duplicates: found in it.
    """
    findings = []
    for names in duplicates.same:
        said = f"{joined_with_and(names)} have the same pixels"
        pairs = list(combinations(sorted(names), 2))
        across = len(_splits(dataset, names)) > 1
        found = _contradictions(
            dataset, "identical", names, said, [names], pairs, across, dataset.limits.same_mask
        )
        findings += found or [Finding("identical", names, said)]
    for links in duplicates.near_groups():
        names = tuple(sorted({name for link in links for name in (*link.first, *link.second)}))
        said = f"{joined_with_and(names)} show nearly the same (correlation of the fine structure {_degree(links)})"
        pairs = [(a, b) for link in links if not link.turned for a in link.first for b in link.second]
        together = [(*link.first, *link.second) for link in links]
        across = any(
            len(_splits(dataset, both)) > 1 and _splits(dataset, link.first) != _splits(dataset, link.second)
            for link, both in zip(links, together, strict=True)
        )
        found = _contradictions(dataset, "near", names, said, together, pairs, across, _NEAR_MASK)
        findings += found or [Finding("near", names, said)]
    return findings


def _degree(links: Sequence[_Link]) -> str:
    lowest, highest = (f(link.correlation for link in links) for f in (min, max))
    degree = f"{lowest:.2f}" if len(links) == 1 else f"{lowest:.2f} to {highest:.2f}"
    turned = joined_with_and(dict.fromkeys(link.turned for link in links if link.turned))
    return f"{degree}; {turned}" if turned else degree


def _contradictions(
    dataset: MeasuredDataset,
    kind: Literal["identical", "near"],
    names: tuple[str, ...],
    said: str,
    together: Sequence[tuple[str, ...]],
    pairs: Sequence[tuple[str, str]],
    across: bool,
    least_dice: float,
) -> list[Finding]:
    """Findings about duplicates: `together` should have one class, `pairs` one mask."""
    findings = []
    if across:
        shown = f"{said}, in {joined_with_and(_splits(dataset, names))}"
        findings.append(Finding(f"{kind}_across_splits", names, shown))
    if any(len(_classes(dataset, group)) > 1 for group in together):
        have = "the classes" if kind == "identical" else "have the classes"
        shown = f"{said}, but {have} {joined_with_and(_classes(dataset, names))}"
        findings.append(Finding(f"{kind}_labels", names, shown))
    for mask_kind, dice in _least_dice(dataset, pairs).items():
        if dice < least_dice:
            shown = f"{said}, but masks that overlap with a Dice of {dice:.2f}"
            findings.append(Finding(f"{kind}_masks", names, shown, mask=mask_kind))
    return findings


def check_splits(dataset: MeasuredDataset) -> list[Finding]:
    """Patients on both sides, classes that a split lacks, unequal classes."""
    members: dict[str, list[str]] = defaultdict(list)
    for item in dataset.items:
        if item.group and item.image is not None:
            members[item.group].append(item.name)
    findings = []
    for group, names in sorted(members.items()):
        counts = Counter(dataset.by_name[name].split for name in names)
        if len(counts) > 1:
            said = ", ".join(f"{count} in {split or 'no split'}" for split, count in sorted(counts.items()))
            findings.append(Finding("group_across_splits", tuple(names), f"{group} has images {said}"))
    return [*findings, *_class_balance(dataset)]


def _class_balance(dataset: MeasuredDataset) -> list[Finding]:
    findings = []
    by_split: dict[str, Counter[str]] = defaultdict(Counter)
    for item in dataset.items:
        if item.class_name is not None and item.image is not None:
            by_split[item.split][item.class_name] += 1
    total = sum(by_split.values(), Counter())
    for split, counts in sorted(by_split.items()):
        if lacking := sorted(set(total) - set(counts)):
            said = f"{split or 'the dataset'} has no image of {joined_with_and(lacking)}"
            findings.append(Finding("missing_class", (), said))
    if len(total) > 1:
        (most, largest), (least, smallest) = total.most_common()[0], total.most_common()[-1]
        if largest > dataset.limits.imbalance * smallest:
            said = f"{most} has {largest} images and {least} {smallest}, {largest / smallest:.0f} to 1"
            findings.append(Finding("imbalance", (), said))
    return findings


def _splits(dataset: MeasuredDataset, names: Iterable[str]) -> list[str]:
    return sorted({dataset.by_name[name].split for name in names} - {""})


def _classes(dataset: MeasuredDataset, names: Iterable[str]) -> list[str]:
    found = (dataset.by_name[name].class_name for name in names)
    return sorted({name for name in found if name is not None})


def _least_dice(dataset: MeasuredDataset, pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """The lowest overlap of two masks of the same kind, by kind."""
    found: dict[str, float] = {}
    for a, b in pairs:
        masks = [dataset.facts[name].masks for name in (a, b) if name in dataset.facts]
        if len(masks) < 2:  # not measured
            continue
        for kind in masks[0].keys() & masks[1].keys():
            first, second = masks[0][kind], masks[1][kind]
            if first.problem is None and second.problem is None:
                found[kind] = min(found.get(kind, 1.0), _dice(first, second))
    return found


def _dice(first: MaskFacts, second: MaskFacts) -> float:
    """By thumbnails, in [0, 1]; 1 where both are empty."""
    if first.pixels == second.pixels:
        return 1.0
    a, b = (unpack_thumbnail(mask.thumbnail).astype(np.float64) for mask in (first, second))
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * np.minimum(a, b).sum() / total)
