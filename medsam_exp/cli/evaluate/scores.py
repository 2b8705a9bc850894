"""What `medsam-exp evaluate` does: score any masks against true ones, and compare two folders of masks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from rich.console import Console

from medsam_exp.data.decoding import PICTURE_SUFFIXES
from medsam_exp.data.masks import read_mask
from medsam_exp.data.patients import clusters_of, patient_in, patient_notes
from medsam_exp.data.sample_index import compile_pattern
from medsam_exp.data.tables import csv_text, is_missing, place_of, read_table
from medsam_exp.data.volumes.file_volume import open_file_volume, read_labels, volume_stem, volume_suffix
from medsam_exp.data.volumes.grid import voxel_size_mm
from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.full import FullMeasures
from medsam_exp.metrics.measures import ALL_MEASURES, interval, number, probability
from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.console import plain_table
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Mask, UserError

_AFFINES_AGREE_MM = 1e-3
_PAIR = 2
_COLUMNS = ("name", "patient")
_MEND = "give with --patients a CSV file with the columns name,patient"


@dataclass(frozen=True)
class _Plane:
    """One image or slice of a mask file."""

    id: str
    file: str
    mask: Mask
    spacing_mm: tuple[float, float] | None


def evaluate_masks(
    predictions: Sequence[Path],
    truth: Path,
    *,
    tolerance: float = 2.0,
    patient: str | None = None,
    patients: Path | None = None,
) -> dict[str, Any]:
    """Score folders of masks against a folder of true masks, paired by name.

    Pictures are scored one by one. Volumes are scored slice by slice along their last axis, without slices that are
    empty in both, and a volume's slices count as one patient's unless a pattern or table says otherwise.

    Args:
        predictions: one folder, or two to compare the second with the first.
        truth: folder of true masks.
        tolerance: of NSD, in pixels.
        patient: regular expression that finds the patient in a file's name.
        patients: CSV with columns `name` and `patient`.

    Returns:
        `scores` (folder -> image -> measure -> number), `summary` (folder -> measure -> figures), `paired` (measure ->
        figures of B - A; empty for one folder), `patients` (image -> patient or None), `notes`.

    Raises:
        UserError: a folder or a file is missing or no mask, or sizes differ.
    """
    if not 1 <= len(predictions) <= _PAIR:
        raise UserError(f"{len(predictions)} folders of predictions are given: give one, or two to compare")
    measures, true = FullMeasures(tolerance, "px"), _files(truth)
    scores: dict[str, dict[str, dict[str, float]]] = {str(folder): {} for folder in predictions}
    file_of: dict[str, str] = {}
    for folder in predictions:
        found = _files(folder)
        if lacking := sorted(true.keys() - found.keys()):
            raise UserError(
                f"{folder} has no mask for {len(lacking)} of {len(true)} in {truth} ({first_few(lacking, 3)}): add them"
            )
        for name, path in true.items():
            for own, of_truth in zip(_planes(found[name]), _planes(path, found[name]), strict=True):
                if own.id != name and not (own.mask.any() or of_truth.mask.any()):
                    continue
                file_of[own.id] = name
                try:
                    scores[str(folder)][own.id] = measures(own.mask, of_truth.mask, of_truth.spacing_mm)
                except UserError as error:
                    raise UserError(f"{found[name]} against {path}: {error}") from error
    if not all(scores.values()):
        raise UserError(f"nothing can be scored: all slices of {truth} and of the predictions are empty")
    shared = sorted(set.intersection(*(set(each) for each in scores.values())))
    listed, expression = _listed(patients), compile_pattern(patient, "--patient")
    known = {name: _patient(name, file_of[name], expression, listed) for name in file_of}
    clusters = clusters_of(known)
    names = list(next(iter(scores[str(predictions[0])].values())))
    return {
        "scores": scores,
        "summary": {
            folder: {
                each: summarise([own[each] for own in rows.values()], clusters=picked(clusters, rows))
                for each in names
            }
            for folder, rows in scores.items()
        },
        "paired": _paired(list(scores.values()), names, shared, clusters),
        "patients": known,
        "notes": patient_notes(known),
    }


def print_evaluation(found: Mapping[str, Any], console: Console) -> None:
    """Print a table for each folder, and of two their paired comparison."""
    for folder, measures in found["summary"].items():
        table = plain_table(folder, ">mean", ">SD", ">95 % interval", ">images")
        for name, figures in measures.items():
            decimals = ALL_MEASURES[name].decimals
            mean, spread = number(figures["mean"], decimals), number(figures["std"], decimals)
            ci95 = interval(figures["ci95"], decimals)
            table.add_row(ALL_MEASURES[name].label, mean, spread, ci95, str(figures["n"]))
        console.print(table)
    if found["paired"]:
        table = plain_table(
            "second - first", ">difference", ">95 % interval", ">Wilcoxon p", ">t-test p", ">larger/smaller"
        )
        for name, row in found["paired"].items():
            table.add_row(
                ALL_MEASURES[name].label,
                number(row["difference"], 4),
                interval(row["ci95"], 4),
                probability(row["wilcoxon_p"]),
                probability(row["t_p"]),
                f"{row['better']}/{row['worse']}",
            )
        console.print(table)
    for note in found["notes"]:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def write_scores(found: Mapping[str, Any], path: Path) -> None:
    """Write a row for each folder and image as CSV."""
    first = next(iter(next(iter(found["scores"].values())).values()))
    rows = [
        (folder, image, found["patients"][image] or "", *scores.values())
        for folder, images in found["scores"].items()
        for image, scores in images.items()
    ]
    write_atomically(path, csv_text(("folder", "image", "patient", *first), rows).encode())


def _paired(
    scores: Sequence[Mapping[str, Mapping[str, float]]],
    names: Sequence[str],
    shared: Sequence[str],
    clusters: Mapping[str, str] | None,
) -> dict[str, dict[str, Any]]:
    if len(scores) < _PAIR or not shared:
        return {}
    first, second = scores
    chosen = picked(clusters, shared)
    return {
        each: asdict(
            compare_pairs(
                [first[one][each] for one in shared], [second[one][each] for one in shared], clusters=chosen
            )
        )
        for each in names
    }


def _files(folder: Path) -> dict[str, Path]:
    """Mask files of a folder by name without ending."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give one with masks (PNG and the like, NIfTI, MHA, NRRD)")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_picture = path.suffix.lower() in PICTURE_SUFFIXES
        if path.name.startswith(".") or not (is_picture or volume_suffix(path)):
            continue
        name = normalize("NFC", path.stem if is_picture else volume_stem(path))
        if other := found.get(name):
            raise UserError(f"{folder} has {name} as {other.name} and as {path.name}: keep one of them")
        found[name] = path
    if not found:
        raise UserError(f"{folder} has no masks (PNG and the like, NIfTI, MHA, NRRD): check the path")
    return found


def _planes(path: Path, like: Path | None = None) -> Iterator[_Plane]:
    """A picture, or all slices of a volume; `like` is the file of the same geometry that it is compared with."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        name = normalize("NFC", path.stem)
        yield _Plane(name, name, read_mask(path)[0], None)
        return
    labels, affine = read_labels(path)
    if like is not None and volume_suffix(like):
        other = open_file_volume(like, str(like)).facts
        if other.shape != labels.shape or np.abs(other.affine - affine).max() > _AFFINES_AGREE_MM:
            raise UserError(f"{like} and {path} have different voxels: resample one of them")
    row, column, _ = voxel_size_mm(affine)
    name = normalize("NFC", volume_stem(path))
    for place in range(labels.shape[2]):
        yield _Plane(f"{name}_{place:04d}", name, labels[:, :, place] > 0, (row, column))


def _listed(table: Path | None) -> dict[str, str]:
    """Patients by name of file, of a table."""
    if table is None:
        return {}
    found = read_table(table, _MEND, _COLUMNS)
    name, patient = (place_of(found.header, column, found.shown, _MEND) for column in _COLUMNS)
    rows = (row for _, row in found.sound_rows())
    return {normalize("NFC", row[name]): row[patient] for row in rows if not is_missing(row[patient])}


def _patient(
    image: str, file: str, expression: re.Pattern[str] | None, listed: Mapping[str, str]
) -> str | None:
    if expression is not None:
        return patient_in(file, expression)
    return listed.get(file) or listed.get(image) or (file if image != file else None)
