"""Which patient an image shows: by a pattern in its name, a table, or its DICOM header.

Images of one patient are correlated, so intervals and tests resample patients, not images.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from medsam_exp.data.sample_index import Index, compile_pattern
from medsam_exp.data.tables import plain_column, read_table, value_of
from medsam_exp.metrics.clusters import FEWEST
from medsam_exp.types import Dataset

INDEX = "index.csv"
COLUMN = "group"
"""Of the index that prepared data have: what may not be on two sides of a split, such as the patient."""
_ABSENT = "set data.index to the CSV that has data.patient_column, or data.patient_column=null"
_SLICE = re.compile(r"(.*\d)\D+\d+")
_SUGGESTED = r"^(.*\d)\D+\d+$"
_SLICES = 3  # of one name, from which it looks like a volume's


def patient_in(text: str, pattern: re.Pattern[str]) -> str | None:
    """Extract the patient from a file's name.

    Args:
        text: stem or path.
        pattern: its first group is the patient, where it has one, else its match.

    Returns:
        The patient; None where the pattern does not match.
    """
    found = pattern.search(text)
    if found is None:
        return None
    return found[1] if pattern.groups and found[1] is not None else found[0]


def find_patients(
    headers: Mapping[str, str], pattern: str | None, index: Index, column: str | None
) -> dict[str, str]:
    """Patients by image, from the first source that identifies any; images without one are left out.

    Args:
        headers: what images' own headers say that tells patients apart, by stem; "" where they say nothing. It
            stays secret: running numbers take its place.
        pattern: regular expression for files' stems, see `patient_in`; None for none.
        index: table beside the images; it need not exist unless `column` is asked for.
        column: its column with the patient, None for none. A table that lacks the default one has no patients; where
            it has that, it may lack the column with the split.

    Raises:
        UserError: the pattern is none, the table or a column is missing, or an image has two patients.
    """
    expression = compile_pattern(pattern, "data.patient_pattern")
    named = {stem: patient_in(stem, expression) for stem in headers} if expression else {}
    if found := {stem: patient for stem, patient in named.items() if patient}:
        return found
    listed = {} if column is None else _listed(index, column)
    return {stem: listed[stem] for stem in headers if stem in listed} or _numbered(headers)


def _listed(index: Index, column: str) -> dict[str, str]:
    if column == COLUMN:  # nobody asked for it
        if not index.path.is_file():
            return {}
        table = read_table(index.path, _ABSENT, [index.name_column, column])
        header = set(map(plain_column, table.header))
        if COLUMN not in header:
            return {}
        if index.split_column and plain_column(index.split_column) not in header:
            index = replace(index, split_column=None)
    told = ((stem, value_of(row[column])) for stem, row in index.rows([column], _ABSENT))
    return index.one_each(((stem, patient) for stem, patient in told if patient), "patients")


def _numbered(headers: Mapping[str, str]) -> dict[str, str]:
    """Running numbers in place of secrets, in the order of hashes, which reveals no name or date."""
    secrets = {secret for secret in headers.values() if secret}
    ordered = sorted(secrets, key=lambda secret: hashlib.sha256(secret.encode()).hexdigest())
    number = {secret: f"p{place:03d}" for place, secret in enumerate(ordered, start=1)}
    return {stem: number[secret] for stem, secret in headers.items() if secret}


def clusters_of(patients: Mapping[str, str | None]) -> dict[str, str] | None:
    """What to draw and test together, by image: its patient, or itself where its patient alone is unknown.

    Args:
        patients: by image.

    Returns:
        None where no patient is known.
    """
    if not any(patients.values()):
        return None
    return {image: patient or f"image {image}" for image, patient in patients.items()}


def known_patients(dataset: Dataset | None) -> dict[str, str | None]:
    """The patient of each image, None where it is unknown."""
    return {sample.image: sample.patient for sample in dataset.samples} if dataset else {}


def patients_of_samples(dataset: Dataset | None) -> dict[str, str] | None:
    """Clusters (see `clusters_of`) by sample id; None where no patient is known."""
    clusters = clusters_of(known_patients(dataset))
    if dataset is None or clusters is None:
        return None
    return {sample.id: clusters[sample.image] for sample in dataset.samples}


def patient_notes(patients: Mapping[str, str | None]) -> list[str]:
    """What a reader must know of intervals and tests: nothing where every patient is known, or images look independent.

    Args:
        patients: by image.
    """
    unknown = [image for image, patient in patients.items() if not patient]
    if (clusters := clusters_of(patients)) is not None:
        return _notes_of_known(unknown, len(set(clusters.values())), len(clusters))
    example = _looks_like_slices(list(patients))
    if example is None:
        return []
    return [
        f"names such as {example} look like slices of volumes, but no patient is known: 95 % intervals and p-values "
        "take the images for independent, which makes them too narrow and too small; say where a name has its patient, "
        f"as in 'data.patient_pattern=\"{_SUGGESTED}\"', or give data.patient_column"
    ]


def _notes_of_known(unknown: Sequence[str], patients: int, images: int) -> list[str]:
    notes = []
    if unknown:
        notes.append(
            f"no patient is known of {len(unknown)} images (first: {unknown[0]}): each counts as a patient of its own"
        )
    if patients < min(FEWEST, images):
        notes.append(f"{images} images of {patients} patients: a 95 % interval takes {FEWEST} patients")
    return notes


def _looks_like_slices(names: Sequence[str]) -> str | None:
    """One of the names, where most are a number's and then a slice's, and several numbers have three slices or more."""
    volumes: dict[str, list[str]] = {}
    for name in names:
        if found := _SLICE.fullmatch(name):
            volumes.setdefault(found[1], []).append(name)
    several = [own for own in volumes.values() if len(own) >= _SLICES]
    if len(several) < 2 or 2 * sum(map(len, several)) < len(names):
        return None
    return several[0][0]
