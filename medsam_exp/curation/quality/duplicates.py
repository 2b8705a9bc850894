"""Images that are the same, pixel by pixel or nearly: groups of them, leaks and contradictions among them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medsam_exp.curation.quality.facts import DatasetItem, ImageFacts, MaskFacts, MeasuredDataset
from medsam_exp.curation.quality.finding import Finding
from medsam_exp.data.connected_components import connected_components
from medsam_exp.data.near_duplicates import find_near_duplicates, unpack_thumbnail
from medsam_exp.runtime.wording import joined_with_and


@dataclass(frozen=True)
class Link:
    """Two near-duplicates; each represents all images with exactly the same pixels.

    Attributes:
        first: names of the images that are the same as the first.
        second: names of the images that are the same as the second.
        correlation: of their fine structure, up to 1.
        turned: how the second must be turned; "" where it need not be.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    correlation: float
    turned: str


@dataclass(frozen=True)
class Duplicates:
    """All duplicates of a dataset.

    Attributes:
        same: names of images with exactly the same pixels, at least two each.
        near: pairs of near-duplicates.
        searched: whether near-duplicates were looked for.
    """

    same: tuple[tuple[str, ...], ...]
    near: tuple[Link, ...]
    searched: bool = True

    def near_groups(self) -> list[list[Link]]:
        """Pairs of near-duplicates by connected component."""
        touching = [pair for places in self._places().values() for pair in pairwise(places)]
        groups = connected_components(range(len(self.near)), touching)
        return [[self.near[place] for place in group] for group in groups]

    def _places(self) -> dict[tuple[str, ...], list[int]]:
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, link in enumerate(self.near):
            places[link.first].append(place)
            places[link.second].append(place)
        return places


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
    links = (Link(distinct[a.first], distinct[a.second], a.correlation, a.turned) for a in found)
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
        found = _same(dataset, names)
        findings += found or [Finding("identical", names, f"{joined_with_and(names)} have the same pixels")]
    for links in duplicates.near_groups():
        findings += _near(dataset, links)
    return findings


def _same(dataset: MeasuredDataset, names: tuple[str, ...]) -> list[Finding]:
    findings = []
    splits = _splits(dataset, names)
    if len(splits) > 1:
        said = f"{joined_with_and(names)} have the same pixels, in {joined_with_and(splits)}"
        findings.append(Finding("identical_across_splits", names, said))
    classes = _classes(dataset, names)
    if len(classes) > 1:
        said = f"{joined_with_and(names)} have the same pixels, but the classes {joined_with_and(classes)}"
        findings.append(Finding("identical_labels", names, said))
    for kind, dice in _least_dice(dataset, [(a, b) for a in names for b in names if a < b]).items():
        if dice < dataset.limits.same_mask:
            said = f"{joined_with_and(names)} have the same pixels, but masks that overlap with a Dice of {dice:.2f}"
            findings.append(Finding("identical_masks", names, said, mask=kind))
    return findings


def _near(dataset: MeasuredDataset, links: Sequence[Link]) -> list[Finding]:
    names = tuple(sorted({name for link in links for name in (*link.first, *link.second)}))
    lowest, highest = (f(link.correlation for link in links) for f in (min, max))
    degree = f"{lowest:.2f}" if len(links) == 1 else f"{lowest:.2f} to {highest:.2f}"
    turned = joined_with_and(dict.fromkeys(link.turned for link in links if link.turned))
    said = f"{joined_with_and(names)} show nearly the same (correlation of the fine structure {degree}"
    said += f"; {turned})" if turned else ")"
    findings = []
    crossing = [link for link in links if len(_splits(dataset, (*link.first, *link.second))) > 1]
    if any(_splits(dataset, link.first) != _splits(dataset, link.second) for link in crossing):
        findings.append(
            Finding("near_across_splits", names, f"{said}, in {joined_with_and(_splits(dataset, names))}")
        )
    classes = _classes(dataset, names)
    if any(len(_classes(dataset, (*link.first, *link.second))) > 1 for link in links):
        findings.append(
            Finding("near_labels", names, f"{said}, but have the classes {joined_with_and(classes)}")
        )
    pairs = [(a, b) for link in links if not link.turned for a in link.first for b in link.second]
    for kind, dice in _least_dice(dataset, pairs).items():
        if dice < _NEAR_MASK:
            shown = f"{said}, but masks that overlap with a Dice of {dice:.2f}"
            findings.append(Finding("near_masks", names, shown, mask=kind))
    return findings or [Finding("near", names, said)]


def check_splits(dataset: MeasuredDataset) -> list[Finding]:
    """Patients on both sides, classes that a split lacks, unequal classes."""
    return [*_groups(dataset), *_class_balance(dataset)]


def _groups(dataset: MeasuredDataset) -> list[Finding]:
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
    return findings


def _class_balance(dataset: MeasuredDataset) -> list[Finding]:
    labelled = [item for item in dataset.items if item.class_name is not None and item.image is not None]
    by_split: dict[str, Counter[str]] = defaultdict(Counter)
    for item in labelled:
        by_split[item.split][str(item.class_name)] += 1
    total = sum(by_split.values(), Counter())
    findings = []
    for split, counts in sorted(by_split.items()):
        if lacking := sorted(set(total) - set(counts)):
            findings.append(
                Finding(
                    "missing_class",
                    (),
                    f"{split or 'the dataset'} has no image of {joined_with_and(lacking)}",
                )
            )
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
                found[kind] = min(found.get(kind, 1.0), dice_of(first, second))
    return found


def dice_of(first: MaskFacts, second: MaskFacts) -> float:
    """Dice of two masks by their thumbnails, in [0, 1]; 1 where both are empty.

    Args:
        first: facts of one mask.
        second: facts of the other.
    """
    if first.pixels == second.pixels:
        return 1.0
    a, b = (unpack_thumbnail(mask.thumbnail).astype(np.float64) for mask in (first, second))
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * np.minimum(a, b).sum() / total)
