"""Findings as files for programs: findings.csv and .json, images to leave out, groups to split by."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from medsam_exp.curation.quality.copies import groups_of
from medsam_exp.curation.quality.examine import Examination
from medsam_exp.curation.quality.finding import KINDS, Finding
from medsam_exp.curation.quality.items import Item
from medsam_exp.curation.quality.overview import overview
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text

_EVERY_ITEM = ("unreadable", "unpaired", "unusable_mask", "identical_labels", "identical_masks", "outline")
"""Kinds whose images are all proposed to be left out."""
_KEPT_FIRST = ("test", "val")
"""Of copies in several splits, those of the first of these stay: published test splits remain whole."""


def write_lists(examination: Examination, folder: Path) -> list[Path]:
    """Write all lists into a folder; return their paths."""
    items = examination.survey.by_name
    groups = groups_of(items, examination.copies)
    left_out = proposed_exclusions(examination)
    tables = {
        "findings.csv": _csv(
            ("severity", "kind", "image", "others", "mask", "message"),
            (_row(finding) for finding in examination.findings),
        ),
        "exclude.csv": _csv(
            ("name", "split", "why"),
            ((_file_name(items[name]), items[name].split, why) for name, why in left_out.items()),
        ),
        "groups.csv": _csv(
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
    items = examination.survey.by_name
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


def _outside_of_the_kept_split(items: Sequence[Item]) -> tuple[str, ...]:
    splits = {item.split for item in items}
    kept = next((split for split in _KEPT_FIRST if split in splits), min(splits))
    return tuple(item.name for item in items if item.split != kept)


def _file_name(item: Item) -> str:
    """As the dataset's own index names it."""
    if item.image is None:
        return item.stem
    return item.image.name if item.name == f"{item.split}/{item.stem}" else item.name


def _row(finding: Finding) -> tuple[str, ...]:
    first, *others = finding.items or ("",)
    severity = KINDS[finding.kind].severity
    return severity, finding.kind, first, "; ".join(others), finding.mask, finding.message


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _as_json(examination: Examination, left_out: dict[str, str]) -> dict[str, object]:
    said = overview(examination.survey)
    return {
        "root": str(examination.survey.collection.root),
        "form": examination.survey.collection.form,
        "overview": asdict(said),
        "near_copies_searched": examination.copies.searched,
        "limits": asdict(examination.survey.limits),
        "findings": [
            {"severity": KINDS[each.kind].severity, **asdict(each)} for each in examination.findings
        ],
        "exclude": left_out,
    }
