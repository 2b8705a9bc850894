"""The images of a dataset, each changed in the same way, without their true masks."""

from collections.abc import Callable

from medsam_exp.runtime.digests import FileDigests, text_digest
from medsam_exp.types import Dataset, Mask, RGBImage, Sample, UserError


class AugmentedDataset:
    """A dataset whose images went through an augmentation; ids, texts and everything else stay.

    Args:
        data: the images.
        augmentation: changes an (H, W, 3) uint8 image; its `repr` names it and its numbers.
    """

    has_ground_truth = False

    def __init__(self, data: Dataset, augmentation: Callable[[RGBImage], RGBImage]) -> None:
        self.data, self._augmentation = data, augmentation
        self.name, self.split = data.name, data.split
        self.samples: tuple[Sample, ...] = data.samples
        self.label_names, self.classes_are_true = data.label_names, data.classes_are_true
        self.notes: tuple[str, ...] = ()

    def read_image(self, sample_id: str) -> RGBImage:
        """(H, W, 3) uint8 of one image, changed."""
        return self._augmentation(self.data.read_image(sample_id))

    def pixel_spacing_mm(self, sample_id: str) -> tuple[float, float] | None:
        """(row, column) size of a pixel of one image; None when unknown."""
        return self.data.pixel_spacing_mm(sample_id)

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        """Hash of what decides the changed pixels."""
        return text_digest(self.data.image_digest(sample_id, digests), repr(self._augmentation))

    def identity(self, sample_id: str) -> str:
        """Equal for images of the same pixels that were changed in the same way."""
        return f"{self.data.identity(sample_id)} {self._augmentation!r}"

    def read_ground_truth(self, sample_id: str) -> Mask:
        """Refuse: a changed image is never scored."""
        raise UserError(f"{self.name}: the changed image of {sample_id!r} has no true mask")

    def ground_truth_digest(self, sample_id: str, digests: FileDigests) -> str:  # noqa: ARG002 (a dataset's signature)
        """Refuse likewise."""
        raise UserError(f"{self.name}: the changed image of {sample_id!r} has no true mask")
