"""The masks of own scans, from volumes, DICOM-SEG, pictures or outlines in COCO format, on their scan's voxels."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.coco import Coco, CocoImage
from medsam_exp.data.decoding import PICTURE_SUFFIXES, decode
from medsam_exp.data.masks import holds_labels, to_mask
from medsam_exp.data.pixels import Pixels
from medsam_exp.data.volumes.file_volume import label_names, read_labels
from medsam_exp.data.volumes.grid import STORED, on_grid
from medsam_exp.data.volumes.scan import Scan, ScanFacts
from medsam_exp.data.volumes.segmentation_in import read_segmentation
from medsam_exp.types import UserError

ImageOutlines = tuple[CocoImage, dict[int, str]]
"""What is said of one image, and the names of its labels."""


def assign_outlines(
    scans: Sequence[Scan], files: Sequence[Coco]
) -> tuple[dict[int, list[ImageOutlines]], list[str]]:
    """Assign annotations to scans by file name, with as many folders as it takes.

    Args:
        scans: all scans.
        files: files of annotations.

    Returns:
        Annotations by the place of their scan in `scans`; and a sentence about each file that names unknown images.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, scan in enumerate(scans):
        if len(scan.facts.files) == 1 and scan.facts.shape[2] == 1:
            by_name[normalize("NFC", scan.facts.files[0].name)].append(number)
    owners: dict[int, list[ImageOutlines]] = defaultdict(list)
    faults = []
    for file in files:
        strangers = []
        for image in file.images:
            found = _found(image, scans, by_name)
            if len(found) == 1:
                owners[found[0]].append((image, file.names))
            else:
                strangers.append(f"{image.name}{' (several have this name)' if found else ''}")
        if strangers:
            faults.append(
                f"{file.images[0].path} names {len(strangers)} images that are not here (first: {strangers[0]}): add "
                "them, or take them out of the file"
            )
    return owners, faults


def _found(image: CocoImage, scans: Sequence[Scan], by_name: dict[str, list[int]]) -> list[int]:
    parts = PurePosixPath(normalize("NFC", image.name)).parts
    numbers = by_name.get(parts[-1] if parts else "", [])
    paths = {n: normalize("NFC", scans[n].facts.files[0].as_posix()) for n in numbers}
    exact = [n for n, path in paths.items() if PurePosixPath(path).parts[-len(parts) :] == parts]
    return exact if len(exact) == 1 else numbers


_LARGEST_LABEL = 255  # of an 8-bit PNG
_MOST_LABELS = 32  # a picture with more gray values is a scan


@dataclass(frozen=True)
class ScanMasks:
    """The mask files of one scan.

    Attributes:
        files: volumes and pictures.
        segmentations: DICOM-SEG and RTSTRUCT objects.
        outlines: annotations in COCO's format, each with the names of its labels.
        foreground: labels to be united as the target; None keeps all apart.
    """

    files: Sequence[Path] = ()
    segmentations: Sequence[Path] = ()
    outlines: Sequence[tuple[CocoImage, dict[int, str]]] = ()
    foreground: Collection[int] | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.files or self.segmentations or self.outlines)

    def read(self, facts: ScanFacts) -> tuple[NDArray[np.uint8], dict[int, str], bool]:
        """(I, J, K) labels, 0 background; the names that files give them; whether soft edges were thresholded.

        Where several files mark a voxel, the highest label counts.

        Raises:
            UserError: a file is damaged or does not lie on the scan's voxels.
        """
        labels, names, soft = np.zeros(facts.shape, np.int64), dict[int, str](), False
        for path in self.files:
            found, was_soft = self._of_file(path, facts)
            np.maximum(labels, found, out=labels)
            names |= label_names(path)
            soft |= was_soft
        for path in self.segmentations:
            segmented = read_segmentation(path, facts, self.foreground)
            np.maximum(labels, segmented.labels, out=labels)
            names |= segmented.names
        for outlines, named in self.outlines:
            drawn = np.zeros(facts.shape, np.int64)
            STORED.put(drawn, 0, outlines.labels(STORED.size(facts.shape)))
            np.maximum(labels, self._wanted(drawn), out=labels)
            names |= named
        if labels.max() > _LARGEST_LABEL:
            raise UserError(
                f"the masks of {facts.shown} have labels up to {labels.max()}, more than {_LARGEST_LABEL}: name those "
                "wanted with --foreground"
            )
        return labels.astype(np.uint8), names, soft

    def _of_file(self, path: Path, facts: ScanFacts) -> tuple[NDArray[np.int64], bool]:
        """Labels of a file, and whether soft edges were thresholded."""
        if path.suffix.lower() in PICTURE_SUFFIXES:
            return self._of_picture(path, facts)
        values, affine = read_labels(path)
        labels = on_grid(values, affine, facts.shape, facts.affine, str(path))
        return self._wanted(labels), False

    def _wanted(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Labels, united as 1 where some are the target."""
        return (np.isin(labels, list(self.foreground)) if self.foreground else labels).astype(np.int64)

    def _of_picture(self, path: Path, facts: ScanFacts) -> tuple[NDArray[np.int64], bool]:
        if facts.shape[2] != 1:
            raise UserError(
                f"{path} is one picture, but {facts.shown} has {facts.shape[2]} slices: give its mask as a volume"
            )
        plane, soft = self._plane(path)
        labels = np.zeros(facts.shape, np.int64)
        if plane.shape != STORED.size(facts.shape):
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (STORED.size(facts.shape), plane.shape)]
            raise UserError(
                f"{facts.shown} has an image of {sizes[0]} and a mask of {sizes[1]} pixels: check them"
            )
        STORED.put(labels, 0, plane)
        return labels, soft

    def _plane(self, path: Path) -> tuple[NDArray[np.int64], bool]:
        pixels = decode(path)
        levels = _levels(pixels)
        found = np.unique(levels) if levels is not None else np.zeros(0)
        if levels is None or len(found) <= 2:
            mask, soft = to_mask(pixels, path, self.foreground)
            return mask.astype(np.int64), soft
        if holds_labels(levels, lossy=False):
            if not self.foreground and len(found) > _MOST_LABELS:
                raise UserError(
                    f"{path} has {len(found)} gray values, more than {_MOST_LABELS} labels: check that it is a mask, "
                    "or name the labels wanted with --foreground"
                )
            return self._wanted(levels), False
        if self.foreground and int(found[-1]) not in self.foreground:
            raise UserError(
                f"{path} has soft edges around two levels, 0 and {found[-1]}, and --foreground does not name "
                f"{found[-1]}: add it, or leave --foreground out"
            )
        mask, soft = to_mask(pixels, path)
        return mask.astype(np.int64), soft


def _levels(pixels: Pixels) -> NDArray[Any] | None:
    """(H, W) one number per pixel of a lossless gray picture; None of others, whose values are no labels."""
    values = pixels.values
    if pixels.lossy or pixels.alpha is not None:
        return None
    if values.ndim == 3:
        return values[..., 0] if (values == values[..., :1]).all() else None
    return values
