"""A folder of images and masks, paired by file stem: ROOT/{train,val,test}_{images,masks}."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.folder_files import (
    FilePair,
    Finding,
    Target,
    Targets,
    check_pairs,
    find_folders,
    mask_folders,
    pair_files,
    passed_over,
    targets_of,
)
from medsam_exp.data.patients import COLUMN, INDEX, PatientRules
from medsam_exp.data.planned_files import PlannedFiles
from medsam_exp.data.sample_index import Spacing, read_class_index, read_spacing_index
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.types import Mask, RGBImage, Sample, UserError

_SHOWN = 10


@dataclass(frozen=True)
class _Entry:
    """The files of a sample, and what is to be found in its image."""

    files: FilePair
    target: Target


class FolderDataset:
    """Images of one split of a folder, with masks where the folder has them.

    Every file of the split is decoded once at the start, so that faults show before any model loads. With
    `classes`, every image gives one sample per class: its id is STEM@CLASS, its true mask shows that class only.

    Args:
        name: short name for tables.
        root: folder that holds SPLIT_images and, unless only predictions are wanted, SPLIT_masks.
        split: train, val, test, or any other prefix.
        modality: kind of scan, in words for texts ("ultrasound").
        target: what to find, in words for texts ("breast tumor").
        sentences: where texts find sentences about the target; see `medsam_exp.text.sentence_files`.
        sentence_lists: which lists of a file of sentences belong to which class.
        class_name: class of every image; None when unknown or given by `index`.
        index: CSV inside root that gives each image its class.
        name_column: column of `index` with the file name or stem.
        class_column: column of `index` with the class.
        split_column: column of `index` with the split; None when it has none.
        class_pattern: regular expression whose match in a file's stem is the image's class, upper or lower case,
            where neither `class_name` nor `index` says it (kept in lower case, words apart); an image whose name
            does not match has none.
        patient_pattern: regular expression whose match in a file's stem (its first bracket, where it has one) is the
            image's patient; an image whose name does not match has none.
        patient_column: where no name matches, column with the patient of `index`, else of the index.csv of prepared
            data; None for none. Where no table knows a patient either, images' own files may say it, as DICOM does.
        spacing_mm: (row, column) size of a pixel in mm; or a CSV inside root that gives each image its own, in columns
            `spacing_row_mm` and `spacing_column_mm`, both empty where it is unknown; None when unknown, or said by the
            images' own files, as DICOM does.
        mask_values: values that count as foreground in masks of class labels; None for two-valued masks.
        classes: what each image is asked for: {class: values of its pixels} for masks of class labels, or
            [class, ...] for masks in SPLIT_masks/CLASS, where no file means that the class is absent; None for
            a single target.
        background: values of masks of class labels that belong to none of `classes`.
        absent: of a class that an image does not show, "keep" the sample with an empty true mask or "drop" it.
        exclude: images to leave out: their names, or a CSV or text file of them, such as the exclude.csv of
            `medsam-exp data-check`; None for none. They are not even decoded, and `notes` names them.
        on_error: "raise" stops at faulty files, "skip" leaves their samples out and lists them in `notes`.
        limit: look at the first so many images only, for trials; None for all.

    Attributes:
        chosen_by_masks: how masks decided which samples there are, one sentence each; for the summary.

    Raises:
        UserError: the folder is missing or empty, or (with "raise") files are unreadable, unpaired,
            doubled, of different sizes or of unknown labels; one error names them all.
    """

    def __init__(
        self,
        name: str,
        root: str,
        split: str,
        modality: str | None = None,
        target: str | None = None,
        sentences: str | None = None,
        sentence_lists: Mapping[str, str] | None = None,
        class_name: str | None = None,
        index: str | None = None,
        name_column: str = "name",
        class_column: str = "class",
        split_column: str | None = "split",
        class_pattern: str | None = None,
        patient_pattern: str | None = None,
        patient_column: str | None = COLUMN,
        spacing_mm: Sequence[float] | str | None = None,
        mask_values: Sequence[int] | None = None,
        classes: dict[str, int | list[int]] | list[str] | None = None,
        background: Sequence[int] = (0,),
        absent: Literal["keep", "drop"] = "keep",
        exclude: str | Sequence[str] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        limit: int | None = None,
    ) -> None:
        _check_arguments(spacing_mm, on_error, limit)
        _check_classes_are_given_once(class_name, index, classes)
        pattern = _compiled(class_pattern)
        self.name, self.split, self.modality, self.target = name, split, modality, target
        self.sentences, self.sentence_lists = sentences, sentence_lists
        self.root, self._files = Path(root).expanduser(), PlannedFiles()

        targets = targets_of(classes, mask_values, background)
        self.exclude, self.foreground_values, self.patient_pattern = exclude, targets.values, patient_pattern
        self.label_names = tuple(target.class_name for target in targets.each if target.class_name)
        images, masks = find_folders(self.root, split)
        self.has_ground_truth = masks is not None
        exclusion = read_exclusion(exclude, self.root, split)
        there = pair_files(images, mask_folders(masks, targets))
        wanted, left_out = exclusion.without(there, images)
        files = dict(islice(wanted.items(), limit))
        findings = check_pairs(files, targets)
        labels: dict[str, str] | None = None
        if index is not None:
            labels = read_class_index(self.root / index, split, name_column, class_column, split_column)
            _check_labels(findings, labels, index)
        sizes = self._sizes(spacing_mm, findings, name_column, split_column)
        faulty = {sample_id: finding.problem for sample_id, finding in findings.items() if finding.problem}
        if faulty and (on_error == "raise" or len(faulty) == len(files)):
            raise _complaint(images, faulty, len(files))

        kept = {stem: finding for stem, finding in findings.items() if stem not in faulty}
        if limit is None and self.has_ground_truth:
            _refuse_other_values(masks, kept, mask_values)
        drop = self.has_ground_truth and classes is not None and absent == "drop"
        self.classes_are_true = classes is None or drop
        self._entries = {
            target.sample_id(stem): _Entry(files[stem], target)
            for stem, finding in kept.items()
            for target in (finding.present if drop else targets.each)
        }
        self._pixels = {stem: finding.pixels for stem, finding in kept.items()}
        self._spacing_mm = {name: sizes[entry.files.stem] for name, entry in self._entries.items()}
        if not self._entries:
            raise UserError(
                f"{masks}: no image shows any of data.classes, and data.absent=drop leaves none: check it"
            )
        table = self.root / (index or INDEX)
        asked = patient_column is not None and (table.is_file() or patient_column != COLUMN)
        rules = PatientRules(
            patient_pattern, table if asked else None, patient_column or COLUMN, name_column, split_column
        )
        patients = rules.find({stem: finding.patient for stem, finding in kept.items()}, split)
        known = {stem: class_name or _class_in(stem, pattern) for stem in kept} if labels is None else labels
        self.samples = tuple(
            Sample(
                sample_id,
                entry.target.class_name or known[entry.files.stem],
                image_id=entry.files.stem if entry.target.class_name else None,
                patient=patients.get(entry.files.stem),
            )
            for sample_id, entry in sorted(self._entries.items())
        )
        found = _notes(faulty, kept, targets, absent) if self.has_ground_truth else _skipped(faulty)
        cut = [f"data.limit: the first {limit} of {len(wanted)} images"] if len(wanted) > len(files) else []
        self.notes = (*passed_over(images), *left_out, *cut, *found, *_remarks(kept))
        excluded = len(there) - len(wanted)
        self.chosen_by_masks = _chosen_by_masks(excluded, len(faulty), drop=drop) if masks else ()

    def read_image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of one image."""
        return self._files.image(self._entries[sample_id].files.image)

    def pixel_spacing_mm(self, sample_id: str) -> Spacing | None:
        """(row, column) size of a pixel of one image; None when unknown."""
        return self._spacing_mm[sample_id]

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of the image file."""
        return self._files.digest(self._entries[sample_id].files.image, digests)

    def identity(self, sample_id: str) -> str:
        """Digest of the image's decoded pixels."""
        return self._pixels[self._entries[sample_id].files.stem]

    def read_ground_truth(self, sample_id: str) -> Mask:
        """(H, W) bool true mask of one image, or of one class in it.

        Raises:
            UserError: the folder has no masks.
        """
        path = self._mask(sample_id)
        if path is None:
            return np.zeros(self.read_image(sample_id).shape[:2], dtype=bool)
        return self._files.mask(path, self._entries[sample_id].target.values)

    def ground_truth_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of the mask file and of the values that count as foreground."""
        path = self._mask(sample_id)
        if path is None:
            return text_digest("no mask", self.image_digest(sample_id, digests))
        values = self._entries[sample_id].target.values
        read_as = (
            () if values is None else ("stored numbers",)
        )  # else results of an older reading would be reused
        return text_digest(self._files.digest(path, digests), str(values), *read_as)

    def _sizes(
        self,
        spacing_mm: Sequence[float] | str | None,
        findings: dict[str, Finding],
        name_column: str,
        split_column: str | None,
    ) -> dict[str, Spacing | None]:
        """Size of a pixel by the image's stem; an image that the table does not name is faulty."""
        if spacing_mm is None:
            return {stem: finding.spacing_mm for stem, finding in findings.items()}
        if not isinstance(spacing_mm, str):
            return dict.fromkeys(findings, (float(spacing_mm[0]), float(spacing_mm[1])))
        sizes = read_spacing_index(self.root / spacing_mm, self.split, name_column, split_column)
        for stem, finding in findings.items():
            if finding.problem is None and stem not in sizes:
                finding.problem = f"{stem} has no row in {spacing_mm}"
        return sizes

    def _mask(self, sample_id: str) -> Path | None:
        """The mask file; None where an absent class has none."""
        if not self.has_ground_truth:
            raise UserError(
                f"{self.root} has no {self.split}_masks: add them, or leave evaluation out of `stages`"
            )
        entry = self._entries[sample_id]
        return entry.files.masks.get(entry.target.folder)


def _check_classes_are_given_once(class_name: str | None, index: str | None, classes: object) -> None:
    keys = {"data.class_name": class_name, "data.index": index, "data.classes": classes}
    given = [key for key, value in keys.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} both give a class: set one of them to null")


def _compiled(class_pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if class_pattern is None else re.compile(class_pattern, re.IGNORECASE)
    except re.error as error:
        raise UserError(
            f"data.class_pattern is {class_pattern!r}, which is no regular expression ({error}): mend it"
        ) from error


def _class_in(stem: str, pattern: re.Pattern[str] | None) -> str | None:
    found = pattern.search(stem) if pattern else None
    return " ".join(re.split(r"[\W_]+", found[0].lower())) if found else None


def _check_arguments(spacing_mm: Sequence[float] | str | None, on_error: str, limit: int | None) -> None:
    if not isinstance(spacing_mm, str | None) and not (len(spacing_mm) == 2 and min(spacing_mm) > 0):
        raise UserError(
            f"data.spacing_mm is {list(spacing_mm)}: give two positive numbers, [row, column], or a CSV file"
        )
    if on_error not in {"raise", "skip"}:
        raise UserError(f"data.on_error is {on_error}: choose raise or skip")
    if limit is not None and limit < 1:
        raise UserError(f"data.limit is {limit}: give at least 1, or null for all images")


def _check_labels(findings: dict[str, Finding], labels: dict[str, str], index: str) -> None:
    for stem, finding in findings.items():
        if finding.problem is None and not labels.get(stem):
            finding.problem = f"{stem} has no class in {index}"


def _refuse_other_values(
    masks: Path | None, kept: dict[str, Finding], mask_values: Sequence[int] | None
) -> None:
    """Masks of which none has a pixel of the target, but some have others, are read by wrong values."""
    held = frozenset[int]().union(*(finding.values for finding in kept.values()))
    if mask_values is not None and held - {0} and not held & set(mask_values):
        raise UserError(
            f"{masks}: no mask has a pixel of data.mask_values={list(mask_values)}; they hold "
            f"{', '.join(map(str, sorted(held)[:_SHOWN]))}: name the target's values, or null for two-valued masks"
        )


def _complaint(images: Path, faulty: dict[str, str], count: int) -> UserError:
    shown = "; ".join(list(faulty.values())[:_SHOWN])
    more = f"; and {len(faulty) - _SHOWN} more" if len(faulty) > _SHOWN else ""
    mend = "mend them" if len(faulty) == count else "mend them, or leave them out with data.on_error=skip"
    return UserError(f"{images}: {len(faulty)} of {count} samples are faulty ({shown}{more}): {mend}")


def _skipped(faulty: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"skipped: {problem}" for problem in faulty.values())


def _remarks(kept: dict[str, Finding]) -> tuple[str, ...]:
    of: dict[str, list[str]] = {}
    for stem, finding in kept.items():
        for remark in finding.remarks:
            of.setdefault(remark, []).append(stem)
    return tuple(
        f"{len(stems)} of {len(kept)} images (first: {stems[0]}) {remark}" for remark, stems in of.items()
    )


def _chosen_by_masks(excluded: int, skipped: int, *, drop: bool) -> tuple[str, ...]:
    """How masks, or a list that may rest on them, decide which samples there are; one sentence each."""
    said = {
        "masks decide which classes of an image are samples (data.absent=drop)": drop,
        f"{skipped} images are left out for faults of their files, masks included (data.on_error=skip)": skipped,
        f"{excluded} images are left out by a list that may rest on masks (data.exclude)": excluded,
    }
    return tuple(sentence for sentence, holds in said.items() if holds)


def _notes(
    faulty: dict[str, str], kept: dict[str, Finding], targets: Targets, absent: str
) -> tuple[str, ...]:
    notes = [*_skipped(faulty)]
    lossy = [stem for stem, finding in kept.items() if finding.lossy]
    if lossy:
        notes.append(
            f"{len(lossy)} of {len(kept)} masks have blurred values (lossy format or soft edges; "
            f"first: {lossy[0]}): thresholded at half of their maximum"
        )
    if not any(finding.present for finding in kept.values()):
        notes.append(f"all {len(kept)} masks are empty")
    for target in targets.each:
        lacking = sum(target not in finding.present for finding in kept.values())
        if target.class_name is not None and lacking:
            outcome = "their true mask is empty" if absent == "keep" else "left out"
            notes.append(f"{target.class_name} is absent from {lacking} of {len(kept)} images: {outcome}")
    return tuple(notes)
