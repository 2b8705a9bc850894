"""Checks that look at several images together: copies, contradictions between them, patients and classes by split."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from medsam_exp.curation.quality.copies import Copies, Link
from medsam_exp.curation.quality.facts import MaskFacts
from medsam_exp.curation.quality.finding import Finding
from medsam_exp.curation.quality.survey import Survey
from medsam_exp.data.near_duplicates import unpacked

_NEAR_MASK = 0.7  # Dice; framing and annotators differ somewhat
_SHOWN = 4


def check_copies(survey: Survey, copies: Copies) -> list[Finding]:
    """Copies across splits, with contradicting classes or masks, and plain ones."""
    findings = []
    for names in copies.same:
        found = _same(survey, names)
        findings += found or [Finding("identical", names, f"{_listed(names)} have the same pixels")]
    for links in copies.near_groups():
        findings += _near(survey, links)
    return findings


def _same(survey: Survey, names: tuple[str, ...]) -> list[Finding]:
    findings = []
    splits = _splits(survey, names)
    if len(splits) > 1:
        said = f"{_listed(names)} have the same pixels, in {_listed(splits)}"
        findings.append(Finding("identical_across_splits", names, said))
    classes = _classes(survey, names)
    if len(classes) > 1:
        said = f"{_listed(names)} have the same pixels, but the classes {_listed(classes)}"
        findings.append(Finding("identical_labels", names, said))
    for kind, dice in _least_dice(survey, [(a, b) for a in names for b in names if a < b]).items():
        if dice < survey.limits.same_mask:
            said = f"{_listed(names)} have the same pixels, but masks that overlap with a Dice of {dice:.2f}"
            findings.append(Finding("identical_masks", names, said, mask=kind))
    return findings


def _near(survey: Survey, links: Sequence[Link]) -> list[Finding]:
    names = tuple(sorted({name for link in links for name in (*link.first, *link.second)}))
    lowest, highest = (f(link.correlation for link in links) for f in (min, max))
    degree = f"{lowest:.2f}" if len(links) == 1 else f"{lowest:.2f} to {highest:.2f}"
    turned = _listed(dict.fromkeys(link.turned for link in links if link.turned))
    said = f"{_listed(names)} show nearly the same (correlation of the fine structure {degree}"
    said += f"; {turned})" if turned else ")"
    findings = []
    crossing = [link for link in links if len(_splits(survey, (*link.first, *link.second))) > 1]
    if any(_splits(survey, link.first) != _splits(survey, link.second) for link in crossing):
        findings.append(Finding("near_across_splits", names, f"{said}, in {_listed(_splits(survey, names))}"))
    classes = _classes(survey, names)
    if any(len(_classes(survey, (*link.first, *link.second))) > 1 for link in links):
        findings.append(Finding("near_labels", names, f"{said}, but have the classes {_listed(classes)}"))
    pairs = [(a, b) for link in links if not link.turned for a in link.first for b in link.second]
    for kind, dice in _least_dice(survey, pairs).items():
        if dice < _NEAR_MASK:
            shown = f"{said}, but masks that overlap with a Dice of {dice:.2f}"
            findings.append(Finding("near_masks", names, shown, mask=kind))
    return findings or [Finding("near", names, said)]


def check_splits(survey: Survey) -> list[Finding]:
    """Patients on both sides, classes that a split lacks, unequal classes."""
    return [*_groups(survey), *_class_balance(survey)]


def _groups(survey: Survey) -> list[Finding]:
    members: dict[str, list[str]] = defaultdict(list)
    for item in survey.items:
        if item.group and item.image is not None:
            members[item.group].append(item.name)
    findings = []
    for group, names in sorted(members.items()):
        counts = Counter(survey.by_name[name].split for name in names)
        if len(counts) > 1:
            said = ", ".join(f"{count} in {split or 'no split'}" for split, count in sorted(counts.items()))
            findings.append(Finding("group_across_splits", tuple(names), f"{group} has images {said}"))
    return findings


def _class_balance(survey: Survey) -> list[Finding]:
    labelled = [item for item in survey.items if item.class_name is not None and item.image is not None]
    by_split: dict[str, Counter[str]] = defaultdict(Counter)
    for item in labelled:
        by_split[item.split][str(item.class_name)] += 1
    total = sum(by_split.values(), Counter())
    findings = []
    for split, counts in sorted(by_split.items()):
        if lacking := sorted(set(total) - set(counts)):
            findings.append(
                Finding("missing_class", (), f"{split or 'the dataset'} has no image of {_listed(lacking)}")
            )
    if len(total) > 1:
        (most, largest), (least, smallest) = total.most_common()[0], total.most_common()[-1]
        if largest > survey.limits.imbalance * smallest:
            said = f"{most} has {largest} images and {least} {smallest}, {largest / smallest:.0f} to 1"
            findings.append(Finding("imbalance", (), said))
    return findings


def _splits(survey: Survey, names: Iterable[str]) -> list[str]:
    return sorted({survey.by_name[name].split for name in names} - {""})


def _classes(survey: Survey, names: Iterable[str]) -> list[str]:
    found = (survey.by_name[name].class_name for name in names)
    return sorted({name for name in found if name is not None})


def _least_dice(survey: Survey, pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """The lowest overlap of two masks of the same kind, by kind."""
    found: dict[str, float] = {}
    for a, b in pairs:
        masks = [survey.facts[name].masks for name in (a, b) if name in survey.facts]
        if len(masks) < 2:  # not measured
            continue
        for kind in masks[0].keys() & masks[1].keys():
            first, second = masks[0][kind], masks[1][kind]
            if first.problem is None and second.problem is None:
                found[kind] = min(found.get(kind, 1.0), dice_of(first, second))
    return found


def dice_of(first: MaskFacts, second: MaskFacts) -> float:
    """Overlap of two masks by their thumbnails, in [0, 1]; 1 where both are empty."""
    if first.pixels == second.pixels:
        return 1.0
    a, b = (unpacked(mask.thumbnail).astype(np.float64) for mask in (first, second))
    total = a.sum() + b.sum()
    return 1.0 if total == 0 else float(2 * np.minimum(a, b).sum() / total)


def _listed(names: Iterable[str]) -> str:
    """Names for a sentence, a few of them."""
    given = list(names)
    shown = given[:_SHOWN] if len(given) > _SHOWN + 1 else given
    rest = [f"{len(given) - len(shown)} more"] if len(shown) < len(given) else []
    *most, last = [*shown, *rest] or [""]
    return f"{', '.join(most)} and {last}" if most else last
