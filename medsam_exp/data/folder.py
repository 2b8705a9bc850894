"""A folder of images and masks, paired by file stem: ROOT/{train,val,test}_{images,masks}."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from medsam_exp.data.class_index import read_class_index
from medsam_exp.data.images import read_image
from medsam_exp.data.masks import read_mask
from medsam_exp.data.pairing import Finding, check_pairs, find_folders, pair_files
from medsam_exp.digests import FileDigests, text_digest
from medsam_exp.types import Mask, RGBImage, Sample, UserError

_SHOWN = 10


class FolderDataset:
    """Images of one split of a folder, with masks where the folder has them.

    Every file of the split is decoded once at the start, so that faults show before any model loads.

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
        spacing_mm: (row, column) size of a pixel in mm; None when unknown.
        mask_values: values that count as foreground in masks of class labels; None for two-valued masks.
        on_error: "raise" stops at faulty files, "skip" leaves their samples out and lists them in `notes`.
        limit: look at the first so many ids only, for trials; None for all.

    Raises:
        UserError: the folder is missing or empty, or (with "raise") files are unreadable, unpaired,
            doubled or of different sizes; one error names them all.
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
        spacing_mm: Sequence[float] | None = None,
        mask_values: Sequence[int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        limit: int | None = None,
    ) -> None:
        _check_arguments(class_name, index, spacing_mm, on_error, limit)
        self.name, self.split, self.modality, self.target = name, split, modality, target
        self.sentences, self.sentence_lists = sentences, sentence_lists
        self.root = Path(root).expanduser()
        self.spacing_mm = None if spacing_mm is None else (float(spacing_mm[0]), float(spacing_mm[1]))
        self.mask_values = None if mask_values is None else tuple(int(value) for value in mask_values)

        images, masks = find_folders(self.root, split)
        self.has_ground_truth = masks is not None
        files = pair_files(images, masks, limit)
        findings = check_pairs(files, self.mask_values)
        classes: dict[str, str] | None = None
        if index is not None:
            classes = read_class_index(self.root / index, split, name_column, class_column, split_column)
            _check_classes(findings, classes, index)
        faulty = {sample_id: finding.problem for sample_id, finding in findings.items() if finding.problem}
        if faulty and (on_error == "raise" or len(faulty) == len(files)):
            raise _complaint(images, faulty, len(files))

        self._files = {sample_id: pair for sample_id, pair in files.items() if sample_id not in faulty}
        self.samples = tuple(
            Sample(sample_id, class_name if classes is None else classes[sample_id])
            for sample_id in self._files
        )
        self.notes = _notes(faulty, {i: findings[i] for i in self._files}, self.has_ground_truth)

    def read_image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of one image."""
        return read_image(self._files[sample_id].image)

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of the image file."""
        return digests.of(self._files[sample_id].image)

    def read_ground_truth(self, sample_id: str) -> Mask:
        """(H, W) bool true mask of one image.

        Raises:
            UserError: the folder has no masks.
        """
        return read_mask(self._mask(sample_id), self.mask_values)[0]

    def ground_truth_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of the mask file and of the values that count as foreground."""
        return text_digest(digests.of(self._mask(sample_id)), str(self.mask_values))

    def _mask(self, sample_id: str) -> Path:
        mask = self._files[sample_id].mask
        if mask is None:
            raise UserError(
                f"{self.root} has no {self.split}_masks: add them, or leave evaluation out of `stages`"
            )
        return mask


def _check_arguments(
    class_name: str | None,
    index: str | None,
    spacing_mm: Sequence[float] | None,
    on_error: str,
    limit: int | None,
) -> None:
    if class_name is not None and index is not None:
        raise UserError("data.class_name and data.index both give a class: set one of them to null")
    if spacing_mm is not None and (len(spacing_mm) != 2 or not all(side > 0 for side in spacing_mm)):
        raise UserError(f"data.spacing_mm is {list(spacing_mm)}: give two positive numbers, [row, column]")
    if on_error not in {"raise", "skip"}:
        raise UserError(f"data.on_error is {on_error}: choose raise or skip")
    if limit is not None and limit < 1:
        raise UserError(f"data.limit is {limit}: give at least 1, or null for all images")


def _check_classes(findings: dict[str, Finding], classes: dict[str, str], index: str) -> None:
    for sample_id, finding in findings.items():
        if finding.problem is None and not classes.get(sample_id):
            finding.problem = f"{sample_id} has no class in {index}"


def _complaint(images: Path, faulty: dict[str, str], count: int) -> UserError:
    shown = "; ".join(list(faulty.values())[:_SHOWN])
    more = f"; and {len(faulty) - _SHOWN} more" if len(faulty) > _SHOWN else ""
    mend = "mend them" if len(faulty) == count else "mend them, or leave them out with data.on_error=skip"
    return UserError(f"{images}: {len(faulty)} of {count} samples are faulty ({shown}{more}): {mend}")


def _notes(faulty: dict[str, str], kept: dict[str, Finding], has_ground_truth: bool) -> tuple[str, ...]:
    notes = [f"skipped: {problem}" for problem in faulty.values()]
    lossy = [sample_id for sample_id, finding in kept.items() if finding.lossy]
    if lossy:
        notes.append(
            f"{len(lossy)} of {len(kept)} masks have blurred values (lossy format or soft edges; "
            f"first: {lossy[0]}): thresholded at half of their maximum"
        )
    if has_ground_truth and all(finding.empty for finding in kept.values()):
        notes.append(f"all {len(kept)} masks are empty")
    return tuple(notes)
