"""Datasets whose images and true masks lie in files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medsam_exp.data.phantom.files import is_drawn_file
from medsam_exp.data.verified_files import VerifiedFiles
from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.types import Mask, RGBImage, UserError


@dataclass(frozen=True)
class Entry:
    """The files of a sample.

    Attributes:
        image: its image.
        pixels: digest of the decoded image.
        spacing_mm: (row, column) size of a pixel; None when unknown.
        mask: its true mask; None where there is none, as of a class that is absent.
        values: that count as foreground in the mask; None for two-valued masks.
    """

    image: Path
    pixels: str
    spacing_mm: tuple[float, float] | None
    mask: Path | None = None
    values: tuple[int, ...] | None = None


class FileDataset:
    """Reads the files of every sample, which may not change during a run.

    Args:
        entries: by sample id.
        without_masks: what the error says where masks are asked for and there are none; None where there are masks.
    """

    def __init__(self, entries: dict[str, Entry], without_masks: str | None) -> None:
        self._entries, self._without_masks, self._files = entries, without_masks, VerifiedFiles()
        self.has_ground_truth = without_masks is None

    def read_image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 RGB of one image."""
        return self._files.image(self._entries[sample_id].image)

    def is_drawn(self, sample_id: str) -> bool:
        """Whether the image's file says that the project has drawn it."""
        return is_drawn_file(self._entries[sample_id].image)

    def pixel_spacing_mm(self, sample_id: str) -> tuple[float, float] | None:
        """(row, column) size of a pixel of one image; None when unknown."""
        return self._entries[sample_id].spacing_mm

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """SHA-256 (hex) of the image file; `digests` hashes files."""
        return self._files.digest(self._entries[sample_id].image, digests)

    def identity(self, sample_id: str) -> str:
        """Digest of the image's decoded pixels."""
        return self._entries[sample_id].pixels

    def read_ground_truth(self, sample_id: str) -> Mask:
        """(H, W) bool true mask of one image, or of one class in it.

        Raises:
            UserError: there are no masks.
        """
        entry = self._with_mask(sample_id)
        if entry.mask is None:
            return np.zeros(self.read_image(sample_id).shape[:2], dtype=bool)
        return self._files.mask(entry.mask, entry.values)

    def ground_truth_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of what decides a true mask: the mask file and the foreground values.

        Args:
            sample_id: the sample.
            digests: hashes files.

        Raises:
            UserError: there are no masks, or the file was changed during the run.
        """
        entry = self._with_mask(sample_id)
        if entry.mask is None:
            return text_digest("no mask", self.image_digest(sample_id, digests))
        # Without it, results of an older reading would be reused.
        read_as = () if entry.values is None else ("stored numbers",)
        return text_digest(self._files.digest(entry.mask, digests), str(entry.values), *read_as)

    def _with_mask(self, sample_id: str) -> Entry:
        if self._without_masks is not None:
            raise UserError(self._without_masks)
        return self._entries[sample_id]
