"""The masks of one's own scans, from volumes, DICOM-SEG objects or pictures, on the voxels of their scan."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medsam_exp.data.images import PICTURE_SUFFIXES, decode
from medsam_exp.data.masks import read_mask
from medsam_exp.data.volumes.file_volume import read_labels
from medsam_exp.data.volumes.grid import STORED, on_grid
from medsam_exp.data.volumes.scan import ScanFacts
from medsam_exp.data.volumes.segmentation_in import read_segmentation
from medsam_exp.types import UserError

_LARGEST_LABEL = 255  # of an 8-bit PNG
_MOST_LABELS = 32  # a picture with more gray values is a scan, or has soft edges


@dataclass(frozen=True)
class OwnMasks:
    """The mask files of one scan.

    Attributes:
        files: volumes and pictures.
        segmentations: DICOM-SEG objects.
        foreground: labels to be united as the target; None keeps all apart.
    """

    files: Sequence[Path] = ()
    segmentations: Sequence[Path] = ()
    foreground: Collection[int] | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.files or self.segmentations)

    def read(self, facts: ScanFacts) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Labels of every voxel, and the names of those that have one.

        Where several files mark a voxel, the highest label counts.

        Raises:
            UserError: a file is damaged or does not lie on the scan's voxels.
        """
        labels, names = np.zeros(facts.shape, np.int64), dict[int, str]()
        for path in self.files:
            np.maximum(labels, self._of_file(path, facts), out=labels)
        for path in self.segmentations:
            found = read_segmentation(path, facts, self.foreground)
            np.maximum(labels, found.labels, out=labels)
            names |= found.names
        if labels.max() > _LARGEST_LABEL:
            raise UserError(
                f"the masks of {facts.shown} have labels up to {labels.max()}, more than {_LARGEST_LABEL}: name those "
                "wanted with --foreground"
            )
        return labels.astype(np.uint8), names

    def _of_file(self, path: Path, facts: ScanFacts) -> NDArray[np.int64]:
        if path.suffix.lower() in PICTURE_SUFFIXES:
            return self._of_picture(path, facts)
        values, affine = read_labels(path)
        labels = on_grid(values, affine, facts.shape, facts.affine, str(path))
        return np.isin(labels, list(self.foreground)).astype(np.int64) if self.foreground else labels

    def _of_picture(self, path: Path, facts: ScanFacts) -> NDArray[np.int64]:
        if facts.shape[2] != 1:
            raise UserError(
                f"{path} is one picture, but {facts.shown} has {facts.shape[2]} slices: give its mask as a volume"
            )
        plane = self._plane(path)
        labels = np.zeros(facts.shape, np.int64)
        if plane.shape != STORED.size(facts.shape):
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (STORED.size(facts.shape), plane.shape)]
            raise UserError(
                f"{facts.shown} has an image of {sizes[0]} and a mask of {sizes[1]} pixels: check them"
            )
        STORED.put(labels, 0, plane)
        return labels

    def _plane(self, path: Path) -> NDArray[np.int64]:
        pixels = decode(path)
        if self.foreground is None and not pixels.lossy and pixels.values.ndim == 2:
            found = np.unique(pixels.values)
            if 2 < len(found) <= _MOST_LABELS:
                return pixels.values.astype(np.int64)
        return read_mask(path, self.foreground)[0].astype(np.int64)
