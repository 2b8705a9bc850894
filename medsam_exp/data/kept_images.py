"""Decoded images that several stages of a run look at, so that each is decoded once where memory allows."""

from contextlib import suppress

from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.kept_arrays import KeptArrays
from medsam_exp.types import Dataset, RGBImage

MOST_BYTES = 512 * 2**20
"""Of a dataset's images, on each process: some 650 of 480 x 560 pixels. Those that come later are decoded each time."""


class KeptImages:
    """Reads a dataset's images, from any thread, and keeps the first ones.

    A sample's file is looked at again before what was kept of it is given: one that was replaced ends the run as it
    does where it is read (`medsam_exp.data.verified_files`).

    Args:
        dataset: where the images come from.
        digests: hashes files; one whose size and time are as before is not read.
        most_bytes: that are kept.
    """

    def __init__(self, dataset: Dataset, digests: FileDigests, most_bytes: int = MOST_BYTES) -> None:
        self.dataset, self._digests, self._kept = dataset, digests, KeptArrays(most_bytes)
        self._images = {sample.id: sample.image for sample in dataset.samples}

    def __call__(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 of a sample's image; the caller's own.

        Raises:
            UserError: as `Dataset.read_image`.
            ChangedFileError: the file was replaced.
        """
        name = self._images[sample_id]
        if (kept := self._kept.get(name)) is not None:
            with suppress(OSError):  # a file that is gone is named by who reads it
                self.dataset.image_digest(sample_id, self._digests)
                return kept
        image = self.dataset.read_image(sample_id)
        self._kept.keep(name, image)
        return image
