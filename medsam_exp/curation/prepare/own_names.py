"""Names for one's own scans that betray no patient: running numbers for DICOM, the files' own names for others."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medsam_exp.curation.prepare.layout import plain_name
from medsam_exp.data.patients import patient_in
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.types import UserError


@dataclass(frozen=True)
class Naming:
    """How scans are named.

    Attributes:
        root: folder that files' paths are relative to.
        patient: finds the patient in such a path, by its first group or as a whole; None: every volume is one.
        rename: number files that are no DICOM, too.
    """

    root: Path
    patient: re.Pattern[str] | None = None
    rename: bool = False


def name_scans(scans: Sequence[ScanFacts], naming: Naming) -> list[tuple[str, str]]:
    """Id and group (the patient) of every scan.

    DICOM scans are p001_ct01: patient and scan by running numbers, as a hash of a patient's number could be undone by
    trying all numbers. Numbers follow the order of hashes, which says nothing about names or dates.

    Raises:
        UserError: the pattern does not match a file.
    """
    stems = _unique_stems([scan for scan in scans if scan.kind != "dicom"], naming)
    secrets = [_patient(scan, naming) for scan in scans]
    hidden = [scan.kind == "dicom" or naming.rename for scan in scans]
    numbered = {secret for secret, hide in zip(secrets, hidden, strict=True) if hide}
    numbers = {secret: n for n, secret in enumerate(sorted(numbered, key=_hash), start=1)}
    counts: Counter[str] = Counter()
    named = {}
    for place in sorted(range(len(scans)), key=lambda place: _hash(_identity(scans[place]))):
        scan = scans[place]
        if hidden[place]:
            patient = f"p{numbers[secrets[place]]:03d}"
            counts[patient] += 1
            named[place] = (
                f"{patient}_{plain_name(scan.modality or 'scan').lower()}{counts[patient]:02d}",
                patient,
            )
        else:
            named[place] = (stems[id(scan)], _visible_group(scan, secrets[place], stems[id(scan)], naming))
    return [named[place] for place in range(len(scans))]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _identity(scan: ScanFacts) -> str:
    if scan.kind == "dicom":
        return str(scan.source.get("images"))
    return scan.shown


def _patient(scan: ScanFacts, naming: Naming) -> str:
    if scan.patient:
        return scan.patient
    if naming.patient is None:
        return f"file {scan.shown}"
    patient = patient_in(scan.shown, naming.patient)
    if patient is None:
        raise UserError(
            f"--patient {naming.patient.pattern!r} does not match {scan.shown}: give a pattern that matches every path"
        )
    return f"pattern {patient}"


def _visible_group(scan: ScanFacts, secret: str, stem: str, naming: Naming) -> str:
    if naming.patient is not None:
        return secret.removeprefix("pattern ")
    return "" if scan.kind == "picture" else stem


def _unique_stems(scans: Sequence[ScanFacts], naming: Naming) -> dict[int, str]:
    """File names without ending; as many folders' names before them as it takes to tell all apart."""
    paths = [scan.files[0] for scan in scans]
    folders = [
        path.parent.relative_to(naming.root).parts if path.is_relative_to(naming.root) else ()
        for path in paths
    ]
    names: list[str] = []
    for depth in range(max(map(len, folders), default=0) + 1):
        names = [
            plain_name("_".join([*parts[max(0, len(parts) - depth) :], scan.stem]) if depth else scan.stem)
            for scan, parts in zip(scans, folders, strict=True)
        ]
        if len({name.casefold() for name in names}) == len(names):
            break
    return {id(scan): name for scan, name in zip(scans, names, strict=True)}
