"""Which slices of one's own scans become images, and their pixels when they are asked for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from medsam_exp.curation.prepare.layout import Case, plain_name
from medsam_exp.curation.prepare.own_masks import OwnMasks
from medsam_exp.curation.prepare.own_names import Naming, name_scans
from medsam_exp.curation.prepare.own_outlines import assign_outlines
from medsam_exp.curation.prepare.own_pixels import Cutting, LastScan, PlannedScan
from medsam_exp.curation.prepare.splitting import Amounts, Member, split_members
from medsam_exp.data.volumes.find import (
    Found,
    assign_masks,
    case_of,
    is_nnunet_image,
)
from medsam_exp.data.volumes.scan import Scan, ScanRecord
from medsam_exp.data.volumes.segmentation_in import refers_to
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.types import UserError

_SHOWN = 10
_STRETCHED = 1.5  # ratio of a pixel's sides from which on shapes look wrong


@dataclass
class Plan:
    """Everything that will be written.

    Attributes:
        scans: with at least one slice each.
        cutting: how they are cut.
        classes: names by label, where masks tell several classes apart; else empty.
        notes: what was mended, passed over or is odd, one sentence each; they name no file.
        faults: what was left out and why, with the files' names; for the screen, not to be stored.
    """

    scans: list[PlannedScan]
    cutting: Cutting
    classes: dict[int, str]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def has_spacing(self) -> bool:
        """Whether the size of any pixel is known."""
        return any(planned.scan.facts.spacing_known for planned in self.scans)

    def cases(self, split: str, seed: int, *, redacted: bool) -> list[Case]:
        """All images, divided by patient.

        Args:
            split: shares or numbers; see `Amounts`.
            seed: chooses another division.
            redacted: name scans by their ids, not their files, in errors that will be stored.

        Raises:
            UserError: the division is not understood or cannot be met.
        """
        members = [Member(name, planned.group) for planned in self.scans for name in planned.slices]
        sides = split_members(members, Amounts.parse(split), seed)
        pixels = LastScan(self.cutting, labels=bool(self.classes), redacted=redacted)
        return [
            Case(
                name,
                sides[name],
                partial(pixels.read, planned, index),
                group=planned.group,
                source=f"{planned.id}[{index}]" if len(planned.slices) > 1 else planned.id,
                spacing_mm=planned.scan.facts.spacing_mm(planned.view),
            )
            for planned in self.scans
            for name, index in planned.slices.items()
        ]

    def records(self) -> list[ScanRecord]:
        """For `geometry.json`."""
        return [_record(planned, self.cutting.window_level) for planned in self.scans]


def plan_scans(found: Found, cutting: Cutting, naming: Naming, *, skip_faulty: bool) -> Plan:
    """Give every scan its name, masks and slices.

    Args:
        found: scans and masks.
        cutting: how slices are cut.
        naming: how scans are named.
        skip_faulty: leave out what cannot be used.

    Raises:
        UserError: something cannot be used (and is not to be skipped), or nothing is left; one error names all.
    """
    scans, masks, faults = _with_masks(found, cutting.foreground)
    names = _cases_together(scans, masks, name_scans([scan.facts for scan in scans], naming))
    planned: list[PlannedScan] = []
    classes: dict[int, str] = {}
    for scan, mask, (scan_id, group) in zip(scans, masks, names, strict=True):
        try:
            planned.append(_planned(scan, mask, scan_id, group, cutting, classes))
        except UserError as error:
            faults.append(str(error))
    if faults and (not skip_faulty or not planned):
        raise _complaint(faults)
    if cutting.foreground and any(masks) and not classes:
        wanted = ",".join(map(str, cutting.foreground))
        raise UserError(f"no mask has a pixel of --foreground {wanted}: give labels that the masks hold")
    left = [each for each in planned if each.slices]
    if not left:
        raise UserError(
            "no slice is left: the masks are all empty, so --only-foreground leaves nothing; check them"
        )
    several = classes if len(classes) > 1 else {}
    notes = [*found.notes, *_notes(planned)]
    if faults:
        notes.append(f"{len(faults)} scans or files could not be used and were left out")
    return Plan(left, cutting, several, notes, [f"left out: {fault}" for fault in faults])


def _with_masks(
    found: Found, foreground: tuple[int, ...] | None
) -> tuple[list[Scan], list[OwnMasks], list[str]]:
    owners, mask_faults = assign_masks(found.scans, found.mask_files)
    faults = [*found.faults, *mask_faults]
    objects: dict[int, list[Path]] = {}
    for path, header in found.segmentations:
        own = [n for n, scan in enumerate(found.scans) if refers_to(header, scan.facts)]
        for number in own:
            objects.setdefault(number, []).append(path)
        if not own:
            faults.append(f"{path} segments a DICOM series that is not here: add the series, or remove it")
    outlines, outline_faults = assign_outlines(found.scans, found.outlines)
    faults += outline_faults
    both = outlines.keys() & owners.keys()
    faults += [
        f"{found.scans[number].facts.shown} has a mask in {owners[number][0]} and outlines in "
        f"{outlines[number][0][0].path}: keep one of them"
        for number in sorted(both)
    ]
    masks = [
        OwnMasks(owners.get(number, ()), objects.get(number, ()), outlines.get(number, ()), foreground)
        for number in range(len(found.scans))
    ]
    if not any(masks):
        return found.scans, masks, faults
    kept = [number for number, mask in enumerate(masks) if mask and number not in both]
    faults += [
        f"{scan.facts.shown} has no mask, but others have: add it"
        for scan, mask in zip(found.scans, masks, strict=True)
        if not mask
    ]
    return [found.scans[number] for number in kept], [masks[number] for number in kept], faults


def _cases_together(
    scans: Sequence[Scan], masks: Sequence[OwnMasks], names: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Ids and groups with the channels of one case in one group: scans that share a mask, or nnU-Net's files."""
    owners = Counter(path for mask in masks for path in mask.files)
    cases = [
        case_of(scan)
        if scan.facts.kind != "dicom"
        and (is_nnunet_image(scan) or any(owners[path] > 1 for path in mask.files))
        else ""
        for scan, mask in zip(scans, masks, strict=True)
    ]
    channels, groups = Counter(cases), dict[str, str]()
    return [
        (name, groups.setdefault(case, group or name) if case and channels[case] > 1 else group)
        for case, (name, group) in zip(cases, names, strict=True)
    ]


def _planned(
    scan: Scan, masks: OwnMasks, scan_id: str, group: str, cutting: Cutting, classes: dict[int, str]
) -> PlannedScan:
    """Plan one scan; adds the labels of its masks to `classes`."""
    view = scan.facts.view(cutting.plane)
    count = scan.facts.shape[view.axis]
    shown = list(range(0, count, cutting.every))
    soft = False
    if masks:
        found = masks.read(scan.facts)
        labels, names, soft = found.labels, found.names, found.soft
        for label in np.unique(labels[labels > 0]).tolist():
            classes[label] = plain_name(names.get(label) or classes.get(label) or f"label{label}").lower()
        if cutting.only_foreground:
            others = tuple(axis for axis in range(3) if axis != view.axis)
            marked = np.asarray(labels.any(axis=others))
            shown = [k for k in shown if marked[k]]
    elif cutting.only_foreground:
        raise UserError(
            f"{scan.facts.shown} has no mask, so --only-foreground cannot choose its slices: leave it out"
        )
    return PlannedScan(scan, masks, scan_id, group, view, _ids(scan_id, count, shown), soft)


def _ids(scan_id: str, count: int, indices: Sequence[int]) -> dict[str, int]:
    """A single picture has its scan's name; a slice its place, counted from 0, behind it."""
    return {scan_id: 0} if count == 1 and indices else {f"{scan_id}_{index:04d}": index for index in indices}


def _record(planned: PlannedScan, window_level: WindowLevel) -> ScanRecord:
    facts = planned.scan.facts
    return ScanRecord(
        planned.id,
        facts.kind,
        facts.modality,
        facts.shape,
        facts.affine,
        facts.placed,
        facts.spacing_known,
        planned.view,
        window_level.describe(),
        facts.source,
        planned.slices,
    )


def _notes(planned: Sequence[PlannedScan]) -> list[str]:
    notes = [
        note.replace(each.scan.facts.shown, each.id) for each in planned for note in each.scan.facts.notes
    ]
    empty = [each.id for each in planned if not each.slices]
    if empty:
        notes.append(f"{len(empty)} scans have no foreground and give no slice (first: {empty[0]})")
    soft = [each.id for each in planned if each.soft]
    if soft:
        notes.append(
            f"{len(soft)} of {len(planned)} scans have masks with soft edges (first: {soft[0]}): thresholded at half "
            "of their maximum"
        )
    sizes = {each.id: each.scan.facts.spacing_mm(each.view) for each in planned}
    stretched = [name for name, size in sizes.items() if size and max(size) > _STRETCHED * min(size)]
    if stretched:
        row_mm, column_mm = sizes[stretched[0]] or (0.0, 0.0)
        notes.append(
            f"{len(stretched)} scans have pixels of {_STRETCHED:g} to 1 or longer, so shapes look squeezed (first: "
            f"{stretched[0]}, {row_mm:.3g} x {column_mm:.3g} mm): another --axis may show them better"
        )
    unknown = [name for name, size in sizes.items() if size is None]
    if unknown and len(unknown) < len(sizes):
        notes.append(f"{len(unknown)} scans do not say how large a pixel is (first: {unknown[0]})")
    return notes


def _complaint(faults: Sequence[str]) -> UserError:
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return UserError(
        f"{len(faults)} scans or files cannot be used ({'; '.join(faults[:_SHOWN])}{more}): mend them, or leave them "
        "out with --skip-faulty"
    )
