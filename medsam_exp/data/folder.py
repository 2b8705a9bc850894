"""A folder of images and masks, paired by file stem: ROOT/{train,val,test}_{images,masks}."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from medsam_exp.data.exclusion import read_exclusion
from medsam_exp.data.file_dataset import Entry, FileDataset
from medsam_exp.data.folder_files import (
    PairCheck,
    Targets,
    check_pairs,
    find_folders,
    mask_folders,
    note_of_ignored_files,
    pair_files,
    targets_of,
)
from medsam_exp.data.patients import COLUMN, INDEX, find_patients
from medsam_exp.data.sample_index import Index, Spacing, class_in, compile_pattern
from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Sample, UserError


class FolderDataset(FileDataset):
    """Images of one split of a folder, with masks where the folder has them.

    Every file of the split is decoded once at the start, so that faults show before any model loads. With
    `classes`, every image gives one sample per class: its id is STEM@CLASS, its true mask shows that class only.

    Args:
        name: short name for tables.
        root: folder that holds SPLIT_images and, unless only predictions are wanted, SPLIT_masks; or images, which
            have no masks then.
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
        remembered_in: folder of artifacts in which is stored what was found in the files, so that those of the same
            sizes and times are not decoded again; None for none.

    Attributes:
        chosen_by_masks: how masks decided which samples there are, one sentence each; for the summary.

    Raises:
        UserError: the folder is missing or empty, or (with "raise") files are unreadable, unpaired,
            doubled, of different sizes or of unknown labels; one error names them all.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from medsam_exp import FolderDataset
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "test_images").mkdir()
        >>> Image.new("RGB", (64, 48)).save(root / "test_images" / "case_1.png")
        >>> dataset = FolderDataset(name="clinic", root=str(root), split="test")
        >>> [sample.id for sample in dataset.samples], dataset.has_ground_truth
        (['case_1'], False)
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
        remembered_in: str | None = None,
    ) -> None:
        _check_arguments(spacing_mm, on_error, limit, class_name=class_name, index=index, classes=classes)
        self.name, self.split, self.modality, self.target = name, split, modality, target
        self.sentences, self.sentence_lists = sentences, sentence_lists
        self.root = Path(root).expanduser()
        self.exclude, self.patient_pattern = exclude, patient_pattern
        targets = targets_of(classes, mask_values, background)
        self.foreground_values = targets.values
        self.label_names = tuple(target.class_name for target in targets.each if target.class_name)
        expression = compile_pattern(class_pattern, "data.class_pattern", re.IGNORECASE)
        table = Index(self.root / (index or INDEX), split, name_column, split_column)

        images, masks = find_folders(self.root, split)
        found = pair_files(images, mask_folders(masks, targets))
        wanted, left_out = read_exclusion(exclude, self.root, split).without(found, images)
        files = dict(islice(wanted.items(), limit))
        checks = check_pairs(files, targets, None if remembered_in is None else Path(remembered_in))
        class_of: Mapping[str, str | None]
        if index is None:
            class_of = {stem: class_name or class_in(stem, expression) for stem in files}
        else:
            class_of = table.classes(class_column)
            _mark_faulty(
                checks, (stem for stem in files if not class_of.get(stem)), f"has no class in {index}"
            )
        spacing_of = _spacings(spacing_mm, checks, table, self.root)
        faulty = {stem: check.problem for stem, check in checks.items() if check.problem}
        if faulty and (on_error == "raise" or len(faulty) == len(files)):
            raise _complaint(images, faulty, len(files))

        kept = {stem: check for stem, check in checks.items() if stem not in faulty}
        if limit is None and masks is not None:
            _refuse_other_values(masks, kept, mask_values)
        drop = masks is not None and classes is not None and absent == "drop"
        self.classes_are_true = classes is None or drop
        chosen = [
            (target.sample_id(stem), stem, target)
            for stem, check in kept.items()
            for target in (check.present if drop else targets.each)
        ]
        if not chosen:
            raise UserError(
                f"{masks}: no image shows any of data.classes, and data.absent=drop leaves none: check it"
            )
        patients = find_patients(
            {stem: check.patient for stem, check in kept.items()},
            patient_pattern,
            table,
            patient_column,
        )
        self.samples = tuple(
            Sample(
                sample_id,
                target.class_name or class_of[stem],
                image_id=stem if target.class_name else None,
                patient=patients.get(stem),
            )
            for sample_id, stem, target in sorted(chosen, key=lambda sample: sample[0])
        )
        cut = [f"data.limit: the first {limit} of {len(wanted)} images"] if len(wanted) > len(files) else []
        skipped = [f"skipped: {problem}" for problem in faulty.values()]
        about_masks = _mask_notes(kept, targets, absent) if masks else []
        notes = (note_of_ignored_files(images), left_out, cut, skipped, about_masks, _remarks(kept))
        self.notes = tuple(chain.from_iterable(notes))
        excluded = len(found) - len(wanted)
        self.chosen_by_masks = _chosen_by_masks(excluded, len(faulty), drop=drop) if masks else ()
        super().__init__(
            {
                sample_id: Entry(
                    files[stem].image,
                    kept[stem].pixels,
                    spacing_of[stem],
                    files[stem].masks.get(target.folder),
                    target.values,
                )
                for sample_id, stem, target in chosen
            },
            None
            if masks
            else f"{self.root} has no {split}_masks: add them, or leave evaluation out of `stages`",
        )


def _check_arguments(
    spacing_mm: Sequence[float] | str | None, on_error: str, limit: int | None, **classes: object
) -> None:
    if not isinstance(spacing_mm, str | None) and not (len(spacing_mm) == 2 and min(spacing_mm) > 0):
        raise UserError(
            f"data.spacing_mm is {list(spacing_mm)}: give two positive numbers, [row, column], or a CSV file"
        )
    if on_error not in {"raise", "skip"}:
        raise UserError(f"data.on_error is {on_error}: choose raise or skip")
    if limit is not None and limit < 1:
        raise UserError(f"data.limit is {limit}: give at least 1, or null for all images")
    given = [f"data.{key}" for key, value in classes.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} both give a class: set one of them to null")


def _spacings(
    spacing_mm: Sequence[float] | str | None, checks: dict[str, PairCheck], index: Index, root: Path
) -> dict[str, Spacing | None]:
    """Size of a pixel by the image's stem; an image that the table of sizes does not name is faulty."""
    if spacing_mm is None:
        return {stem: check.spacing_mm for stem, check in checks.items()}
    if not isinstance(spacing_mm, str):
        return dict.fromkeys(checks, (float(spacing_mm[0]), float(spacing_mm[1])))
    sizes = replace(index, path=root / spacing_mm).spacings()
    _mark_faulty(checks, (stem for stem in checks if stem not in sizes), f"has no row in {spacing_mm}")
    return sizes


def _mark_faulty(checks: dict[str, PairCheck], stems: Iterable[str], problem: str) -> None:
    """Note a problem of images that have none yet."""
    for stem in stems:
        if checks[stem].problem is None:
            checks[stem].problem = f"{stem} {problem}"


def _refuse_other_values(masks: Path, kept: dict[str, PairCheck], mask_values: Sequence[int] | None) -> None:
    """Masks of which none has a pixel of the target, but some have others, are read by wrong values."""
    held = frozenset[int]().union(*(check.values for check in kept.values()))
    if mask_values is not None and held - {0} and not held & set(mask_values):
        raise UserError(
            f"{masks}: no mask has a pixel of data.mask_values={list(mask_values)}; they hold "
            f"{first_few(sorted(held))}: name the target's values, or null for two-valued masks"
        )


def _complaint(images: Path, faulty: dict[str, str], count: int) -> UserError:
    shown = first_few(faulty.values(), separator="; ")
    mend = "mend them" if len(faulty) == count else "mend them, or leave them out with data.on_error=skip"
    return UserError(f"{images}: {len(faulty)} of {count} samples are faulty ({shown}): {mend}")


def _remarks(kept: dict[str, PairCheck]) -> tuple[str, ...]:
    """Remarks about images, each with the number of images that it applies to."""
    of: dict[str, list[str]] = {}
    for stem, check in kept.items():
        for remark in check.remarks:
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


def _mask_notes(kept: dict[str, PairCheck], targets: Targets, absent: str) -> list[str]:
    notes = []
    lossy = [stem for stem, check in kept.items() if check.lossy]
    if lossy:
        notes.append(
            f"{len(lossy)} of {len(kept)} masks have blurred values (lossy format or soft edges; "
            f"first: {lossy[0]}): thresholded at half of their maximum"
        )
    if not any(check.present for check in kept.values()):
        notes.append(f"all {len(kept)} masks are empty")
    for target in targets.each:
        lacking = sum(target not in check.present for check in kept.values())
        if target.class_name is not None and lacking:
            outcome = "their true mask is empty" if absent == "keep" else "left out"
            notes.append(f"{target.class_name} is absent from {lacking} of {len(kept)} images: {outcome}")
    return notes
