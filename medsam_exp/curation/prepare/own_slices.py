"""Slices of own scans: de-identified names, choice of slices, and pixels on demand.

DICOM scans get running numbers; other files keep their own names.
"""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medsam_exp.curation.prepare.layout import PreparedImage, plain_name
from medsam_exp.curation.prepare.own_masks import ScanMasks, assign_outlines
from medsam_exp.curation.prepare.splitting import divided
from medsam_exp.data.patients import patient_in
from medsam_exp.data.volumes.find import Found, assign_masks, case_of, is_nnunet_image
from medsam_exp.data.volumes.grid import Plane, View
from medsam_exp.data.volumes.scan import Scan, ScanFacts, ScanRecord
from medsam_exp.data.volumes.segmentation_in import refers_to
from medsam_exp.data.volumes.windowing import WindowLevel
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Choices:
    """What a user wants of own scans.

    Attributes:
        root: folder that files' paths are relative to.
        patient: finds the patient in such a path, by its first group or as a whole; None: every volume is one.
        rename: number files that are no DICOM, too.
        plane: of the slices, see `view_of`.
        window_level: how numbers become gray.
        every: every n-th slice, from the first.
        foreground: labels to be united as the target; None keeps all apart.
        only_foreground: slices whose mask has a pixel only.
    """

    root: Path
    patient: re.Pattern[str] | None
    rename: bool
    plane: Plane
    window_level: WindowLevel
    every: int
    foreground: tuple[int, ...] | None
    only_foreground: bool


def _named(scans: Sequence[ScanFacts], choices: Choices) -> list[tuple[str, str]]:
    """An id and a group (the patient) for every scan.

    DICOM scans are p001_ct01: patient and scan by running numbers, as a hash of a patient's number could be undone by
    trying all numbers. Numbers follow the order of hashes, which reveals nothing about names or dates.
    """
    stems = _unique_stems([scan for scan in scans if scan.kind != "dicom"], choices)
    secrets = [_patient(scan, choices) for scan in scans]
    hidden = [scan.kind == "dicom" or choices.rename for scan in scans]
    numbered = {secret for secret, hide in zip(secrets, hidden, strict=True) if hide}
    numbers = {secret: n for n, secret in enumerate(sorted(numbered, key=_hash), start=1)}
    counts: Counter[str] = Counter()
    named = {}
    for place in sorted(range(len(scans)), key=lambda place: _hash(_identity(scans[place]))):
        scan = scans[place]
        if hidden[place]:
            patient = f"p{numbers[secrets[place]]:03d}"
            counts[patient] += 1
            name = f"{patient}_{plain_name(scan.modality or 'scan').lower()}{counts[patient]:02d}"
            named[place] = (name, patient)
        else:
            stem = stems[id(scan)]
            alone = "" if scan.kind == "picture" else stem
            named[place] = (stem, secrets[place].removeprefix("pattern ") if choices.patient else alone)
    return [named[place] for place in range(len(scans))]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(scan: ScanFacts) -> str:
    return str(scan.source.get("images")) if scan.kind == "dicom" else scan.shown


def _patient(scan: ScanFacts, choices: Choices) -> str:
    if scan.patient:
        return scan.patient
    if choices.patient is None:
        return f"file {scan.shown}"
    patient = patient_in(scan.shown, choices.patient)
    if patient is None:
        raise UserError(
            f"--patient {choices.patient.pattern!r} does not match {scan.shown}: give a pattern that matches every path"
        )
    return f"pattern {patient}"


def _unique_stems(scans: Sequence[ScanFacts], choices: Choices) -> dict[int, str]:
    """File names without ending; as many folders' names before them as it takes to tell all apart."""
    paths = [scan.files[0] for scan in scans]
    root = choices.root
    folders = [path.parent.relative_to(root).parts if path.is_relative_to(root) else () for path in paths]
    names: list[str] = []
    for depth in range(max(map(len, folders), default=0) + 1):
        names = [
            plain_name("_".join([*parts[max(0, len(parts) - depth) :], scan.stem]) if depth else scan.stem)
            for scan, parts in zip(scans, folders, strict=True)
        ]
        if len({name.casefold() for name in names}) == len(names):
            break
    return {id(scan): name for scan, name in zip(scans, names, strict=True)}


@dataclass(frozen=True)
class _PlannedScan:
    """One scan, its masks, its id and patient, and the slices (id: place along the view's axis) that become images."""

    scan: Scan
    masks: ScanMasks
    id: str
    group: str
    view: View
    slices: dict[str, int]
    soft_masks: bool = False

    def redacted(self, error: UserError) -> UserError:
        """The error without names of files, which may tell who the patient is."""
        text = str(error)
        for path in (*self.scan.facts.files, *self.masks.files, *self.masks.segmentations):
            text = text.replace(str(path), self.id)
        return UserError(text.replace(self.scan.facts.shown, self.id))


class _SliceReader:
    """Reads slices; keeps the last volume, as slices are read in order by several threads."""

    def __init__(self, window_level: WindowLevel, *, labels: bool, redacted: bool) -> None:
        self._window_level, self._labels, self._redacted = window_level, labels, redacted
        self._lock = threading.Lock()
        self._id: str | None = None
        self._volume: NDArray[np.uint8] | UserError | None = None
        self._mask: NDArray[np.uint8] | None = None

    def read(
        self, planned: _PlannedScan, index: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | NDArray[np.uint8] | None]:
        """(H, W) or (H, W, 3) uint8 image, and its (H, W) mask (bool, or uint8 labels); None without masks."""
        with self._lock:
            if self._id != planned.id:
                self._load(planned)
            volume, labels = self._volume, self._mask
        if isinstance(volume, UserError):
            raise volume
        assert volume is not None
        image = np.ascontiguousarray(planned.view.take(volume, index))
        if labels is None:
            return image, None
        plane = np.ascontiguousarray(planned.view.take(labels, index))
        return image, plane if self._labels else plane > 0

    def _load(self, planned: _PlannedScan) -> None:
        self._id, self._volume, self._mask = planned.id, None, None
        try:
            self._mask = planned.masks.read(planned.scan.facts)[0] if planned.masks else None
            self._volume = planned.scan.render(self._window_level)
        except UserError as error:
            self._volume = planned.redacted(error) if self._redacted else error


_STRETCHED = 1.5  # ratio of a pixel's sides from which on shapes look wrong


@dataclass
class Plan:
    """Everything that will be written.

    Attributes:
        scans: with at least one slice each.
        window_level: how numbers become gray.
        classes: names by label, where masks tell several classes apart; else empty.
        notes: what was mended, passed over or is odd, one sentence each; they name no file.
        faults: what was left out and why, with the files' names; for the screen, not to be stored.
    """

    scans: list[_PlannedScan]
    window_level: WindowLevel
    classes: dict[int, str]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def has_spacing(self) -> bool:
        """Whether the size of any pixel is known."""
        return any(planned.scan.facts.spacing_known for planned in self.scans)

    def cases(self, split: str, seed: int, *, redacted: bool) -> list[PreparedImage]:
        """All images, divided by patient.

        Args:
            split: see `divided`.
            seed: chooses another division.
            redacted: name scans by their ids, not their files, in errors that will be stored.

        Raises:
            UserError: the division is not understood or cannot be met.
        """
        pixels = _SliceReader(self.window_level, labels=bool(self.classes), redacted=redacted)
        cases = [
            PreparedImage(
                name,
                "",
                partial(pixels.read, planned, index),
                group=planned.group,
                source=f"{planned.id}[{index}]" if len(planned.slices) > 1 else planned.id,
                spacing_mm=planned.scan.facts.spacing_mm(planned.view),
            )
            for planned in self.scans
            for name, index in planned.slices.items()
        ]
        return divided(cases, split, seed)

    def records(self) -> list[ScanRecord]:
        """For `geometry.json`."""
        return [
            ScanRecord.of(planned.id, planned.scan.facts, planned.view, self.window_level, planned.slices)
            for planned in self.scans
        ]


def plan_scans(found: Found, choices: Choices, *, skip_faulty: bool) -> Plan:
    """Give every scan its name, masks and slices.

    Args:
        found: scans and masks.
        choices: how scans are named and cut.
        skip_faulty: leave out what cannot be used.

    Raises:
        UserError: something cannot be used (and is not to be skipped), or nothing is left; one error names all.
    """
    pairs, faults = _with_masks(found, choices.foreground)
    names = _cases_together(pairs, _named([scan.facts for scan, _ in pairs], choices))
    planned: list[_PlannedScan] = []
    classes: dict[int, str] = {}
    for (scan, masks), (scan_id, group) in zip(pairs, names, strict=True):
        try:
            planned.append(_planned(scan, masks, scan_id, group, choices, classes))
        except UserError as error:
            faults.append(str(error))
    if faults and (not skip_faulty or not planned):
        raise UserError(
            f"{len(faults)} scans or files cannot be used ({first_few(faults, separator='; ')}): mend them, or leave "
            "them out with --skip-faulty"
        )
    if choices.foreground and any(masks for _, masks in pairs) and not classes:
        wanted = ",".join(map(str, choices.foreground))
        raise UserError(f"no mask has a pixel of --foreground {wanted}: give labels that the masks hold")
    left = [each for each in planned if each.slices]
    if not left:
        raise UserError(
            "no slice is left: the masks are all empty, so --only-foreground leaves nothing; check them"
        )
    notes = [*found.notes, *_notes(planned)]
    if faults:
        notes.append(f"{len(faults)} scans or files could not be used and were left out")
    several = classes if len(classes) > 1 else {}
    return Plan(left, choices.window_level, several, notes, [f"left out: {fault}" for fault in faults])


def _with_masks(
    found: Found, foreground: tuple[int, ...] | None
) -> tuple[list[tuple[Scan, ScanMasks]], list[str]]:
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
    pairs = [
        (
            scan,
            ScanMasks(owners.get(number, ()), objects.get(number, ()), outlines.get(number, ()), foreground),
        )
        for number, scan in enumerate(found.scans)
    ]
    if not any(masks for _, masks in pairs):
        return pairs, faults
    faults += [
        f"{scan.facts.shown} has no mask, but others have: add it" for scan, masks in pairs if not masks
    ]
    return [pair for number, pair in enumerate(pairs) if pair[1] and number not in both], faults


def _cases_together(
    pairs: Sequence[tuple[Scan, ScanMasks]], names: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Ids and groups with the channels of one case in one group: scans that share a mask, or nnU-Net's files."""
    owners = Counter(path for _, masks in pairs for path in masks.files)
    cases = []
    for scan, masks in pairs:
        shared = is_nnunet_image(scan) or any(owners[path] > 1 for path in masks.files)
        cases.append(case_of(scan) if shared and scan.facts.kind != "dicom" else "")
    channels, groups = Counter(cases), dict[str, str]()
    return [
        (name, groups.setdefault(case, group or name) if case and channels[case] > 1 else group)
        for case, (name, group) in zip(cases, names, strict=True)
    ]


def _planned(
    scan: Scan, masks: ScanMasks, scan_id: str, group: str, choices: Choices, classes: dict[int, str]
) -> _PlannedScan:
    """Plan one scan; adds the labels of its masks to `classes`."""
    view = scan.facts.view(choices.plane)
    count = scan.facts.shape[view.axis]
    shown = list(range(0, count, choices.every))
    soft = False
    if masks:
        labels, names, soft = masks.read(scan.facts)
        for label in np.unique(labels[labels > 0]).tolist():
            classes[label] = plain_name(names.get(label) or classes.get(label) or f"label{label}").lower()
        if choices.only_foreground:
            marked = np.asarray(np.moveaxis(labels, view.axis, 0).any(axis=(1, 2)))
            shown = [k for k in shown if marked[k]]
    elif choices.only_foreground:
        raise UserError(
            f"{scan.facts.shown} has no mask, so --only-foreground cannot choose its slices: leave it out"
        )
    ids = {scan_id: 0} if count == 1 and shown else {f"{scan_id}_{place:04d}": place for place in shown}
    return _PlannedScan(scan, masks, scan_id, group, view, ids, soft)


def _notes(planned: Sequence[_PlannedScan]) -> list[str]:
    notes = [
        note.replace(each.scan.facts.shown, each.id) for each in planned for note in each.scan.facts.notes
    ]
    if empty := [each.id for each in planned if not each.slices]:
        notes.append(f"{len(empty)} scans have no foreground and give no slice (first: {empty[0]})")
    if soft := [each.id for each in planned if each.soft_masks]:
        notes.append(
            f"{len(soft)} of {len(planned)} scans have masks with soft edges (first: {soft[0]}): thresholded at half "
            "of their maximum"
        )
    sizes = {each.id: each.scan.facts.spacing_mm(each.view) for each in planned}
    known = {name: size for name, size in sizes.items() if size}
    if stretched := [name for name, size in known.items() if max(size) > _STRETCHED * min(size)]:
        row_mm, column_mm = known[stretched[0]]
        notes.append(
            f"{len(stretched)} scans have pixels of {_STRETCHED:g} to 1 or longer, so shapes look squeezed (first: "
            f"{stretched[0]}, {row_mm:.3g} x {column_mm:.3g} mm): another --axis may show them better"
        )
    if known and (unknown := [name for name in sizes if name not in known]):
        notes.append(f"{len(unknown)} scans do not say how large a pixel is (first: {unknown[0]})")
    return notes
