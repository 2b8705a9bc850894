"""The words that every layer shares.

Legend of array axes: B batch, H W original pixels, h w model input, gh gw patch grid, D embedding,
K texts, N prompts, P points of a prompt, M masks. The *original frame* is the
image's own pixel grid, as a viewer shows it (EXIF orientation applied).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from medsam_exp.runtime.errors import UserError as UserError
from medsam_exp.runtime.tensor_batch import TensorBatch

if TYPE_CHECKING:
    import torch

    from medsam_exp.runtime.digests import FileDigests

RGBImage = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, original frame."""
SaliencyMap = NDArray[np.float32]
"""(H, W) float32 in [0, 1], original frame; all zero when the method found nothing."""
Mask = NDArray[np.bool_]
"""(H, W) bool, original frame."""


@dataclass(frozen=True)
class Sample:
    """One image of a dataset; its pixels are read by id.

    Attributes:
        id: unique in the dataset (the file's stem).
        class_name: the image's label, where the dataset has one.
        description: a sentence that says what to look for in this image, where the dataset has one.
        contradiction: a sentence of the same kind about what this image does not show, where the dataset has one.
        image_id: the image's own id, where it is asked for several classes and so is several samples; else None.
        patient: what images that are not independent share: the patient, else the study or the volume; None where it
            is unknown.

    Example:
        >>> from medsam_exp import Sample
        >>> Sample("case_1@cyst", class_name="cyst", image_id="case_1").image
        'case_1'
    """

    id: str
    class_name: str | None = None
    description: str | None = None
    contradiction: str | None = None
    image_id: str | None = None
    patient: str | None = None

    @property
    def image(self) -> str:
        """Id of the image, which may be several samples."""
        return self.image_id or self.id


class Dataset(Protocol):
    """Images by id, with ground truth behind a door of its own.

    Attributes:
        name: short name for tables ("busi").
        samples: in order of id.
        split: what the images are for ("train", "val", "test"); nothing is tuned or calibrated on "test".
        has_ground_truth: whether every sample has a mask.
        classes_are_true: whether a sample's class and description say what its image shows; False when every
            image is asked for every class, so that they tell nothing about it.
        label_names: classes that are told apart within an image, in the order of their label values 1, 2, ...; none
            where images are asked for one thing.
        notes: what was skipped or mended while reading, one sentence each; shown in the run's summary.
    """

    name: str
    samples: tuple[Sample, ...]
    label_names: tuple[str, ...]
    split: str
    has_ground_truth: bool
    classes_are_true: bool
    notes: tuple[str, ...]

    def read_image(self, sample_id: str) -> RGBImage:
        """Read the pixels of one image."""

    def pixel_spacing_mm(self, sample_id: str) -> tuple[float, float] | None:
        """(row, column) size of a pixel of one image, or None when unknown."""

    def image_digest(self, sample_id: str, digests: "FileDigests") -> str:
        """Hash of what decides the pixels: the file's bytes, or a generator's arguments."""

    def identity(self, sample_id: str) -> str:
        """Equal for images of the same pixels, whatever their names, files and datasets."""

    def read_ground_truth(self, sample_id: str) -> Mask:
        """Read the true mask. Only declared readers may call this (tests/test_architecture.py)."""

    def ground_truth_digest(self, sample_id: str, digests: "FileDigests") -> str:
        """Hash of what decides the true mask."""


@runtime_checkable
class FolderSplit(Protocol):
    """A dataset that is one split of a folder, so that the other splits can be compared with it.

    Attributes:
        root: the folder.
        split: prefix of its images' folder.
        exclude: images that are left out, as `data.exclude` names them; None for none.
        foreground_values: values that count as foreground in masks of class labels; None for two-valued masks.
        patient_pattern: finds the patient in a file's name; None for none.
        has_ground_truth: whether every sample has a mask.
        chosen_by_masks: how masks decided which samples there are, one sentence each; for the summary.
    """

    root: Path
    split: str
    exclude: str | Sequence[str] | None
    foreground_values: tuple[int, ...] | None
    patient_pattern: str | None
    has_ground_truth: bool
    chosen_by_masks: tuple[str, ...]


class TextSource(Protocol):
    """Which text belongs to which image.

    Attributes:
        uses_class_labels: True when the text depends on the image's true class; the summary says so.
        tells: what such a text gives away, half a sentence for the summary; "" where it depends on nothing true.
    """

    uses_class_labels: bool
    tells: str

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """Texts by sample id; several texts for one image mean that their embeddings are averaged.

        Raises:
            UserError: a sample has no text.
        """


@dataclass(frozen=True)
class Prompts:
    """Visual prompts for SAM: N prompts, each a box, some points, a mask, or several of these; original frame.

    Attributes:
        boxes_xyxy: (N, 4) float32 x0, y0, x1, y1 in pixels; x1 and y1 one past the last pixel. Or None.
        point_coords: (N, P, 2) float32 x, y in pixels; whole numbers are pixel centres, as in mask[y, x]. Or None.
        point_labels: (N, P) int64, 1 foreground, 0 background, -1 no point (its place is ignored). Or None.
        mask_logits: (N, h, w) float32 of a mask over the whole image, at any resolution. Or None.
        alternatives: how many prompts in a row ask for one object; a fusion sees the masks of all of them. Divides N.
        feeds_back: whether the network's best mask of each prompt is given back to it with the prompt, once.
        further_points: (place of a prompt, the network's best mask (H, W) of it) to foreground points (P, 2) x, y that
            join the prompt when it is asked again; equal each time. Or None.

    Example:
        >>> import numpy as np
        >>> from medsam_exp import Prompts
        >>> len(Prompts(boxes_xyxy=np.array([[2, 1, 6, 3]], np.float32)))
        1
    """

    boxes_xyxy: NDArray[np.float32] | None = None
    point_coords: NDArray[np.float32] | None = None
    point_labels: NDArray[np.int64] | None = None
    mask_logits: NDArray[np.float32] | None = None
    alternatives: int = 1
    feeds_back: bool = False
    further_points: Callable[[int, Mask], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        """N, the number of prompts."""
        given = (self.boxes_xyxy, self.point_coords, self.mask_logits)
        return next((len(part) for part in given if part is not None), 0)


PostProcessor = Callable[[SaliencyMap, RGBImage], Mask]
"""Turns a saliency map (H, W) and its image (H, W, 3) into a coarse mask (H, W)."""
ComponentFilter = Callable[[Mask, SaliencyMap], Mask]
"""Chooses connected components of a mask (H, W), coarse or SAM's, by a saliency map (H, W)."""
Veto = Callable[[float | None], bool]
"""Whether an image's mask is emptied as showing no target, by its presence score; None where none was made."""
ContrastiveLoss = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Scalar loss over B matching pairs of un-normalised embeddings (B, D) of images and of texts."""


class Prompter(Protocol):
    """Turns a coarse mask into visual prompts.

    Attributes:
        gives_points: whether there are points among them, which not every SAM understands.
    """

    @property
    def gives_points(self) -> bool:
        """Known before any mask is."""

    def __call__(self, coarse_mask: Mask, generator: np.random.Generator) -> Prompts:
        """Return the prompts of a (H, W) mask; no prompts (length 0) for an empty mask."""


@runtime_checkable
class MapPrompter(Protocol):
    """Makes the prompter of an image, where its saliency map is part of the prompts.

    Attributes:
        gives_points: as of the `Prompter` that it makes.
    """

    @property
    def gives_points(self) -> bool:
        """Known before any map is."""

    def on_map(self, saliency_map: SaliencyMap) -> Prompter:
        """Return the prompter of the image of a (H, W) map."""


@runtime_checkable
class ImagePrompter(Protocol):
    """Makes the prompter of an image, where its pixels decide the prompts.

    Attributes:
        gives_points: as of the prompter that it makes.
    """

    @property
    def gives_points(self) -> bool:
        """Known before any image is."""

    def on_image(self, image: RGBImage) -> Prompter | MapPrompter:
        """Return the prompter of an (H, W, 3) uint8 RGB image."""


class MaskFusion(Protocol):
    """Makes one mask of those that SAM gives for one prompt.

    Attributes:
        multimask: whether it wants SAM's three proposals (M = 3) or its one answer (M = 1).
    """

    @property
    def multimask(self) -> bool:
        """Known before any mask is."""

    def __call__(
        self, logits: "torch.Tensor", iou_predictions: "torch.Tensor"
    ) -> "tuple[torch.Tensor, float]":
        """Return the (H, W) bool mask of (M, H, W) logits, and its predicted IoU from the (M,) of those."""


@runtime_checkable
class MapFusion(Protocol):
    """Makes the fusion of an image, where its saliency map decides which of SAM's masks is taken.

    Attributes:
        multimask: as of the `MaskFusion` that it makes.
    """

    @property
    def multimask(self) -> bool:
        """Known before any mask is."""

    def on_map(self, saliency_map: SaliencyMap) -> MaskFusion:
        """Return the fusion of the image of a (H, W) map."""


class PresenceScorer(Protocol):
    """Says how probable it is that an image shows the target of a text at all.

    Attributes:
        absence_texts: what is said of an image that shows nothing; the text is contrasted with them.
        nonsense_texts: what is true of no scan, likewise.
        calibrated_on: the masks that its numbers come from, in words; None when it was not calibrated.
    """

    absence_texts: tuple[str, ...]
    nonsense_texts: tuple[str, ...]
    calibrated_on: str | None

    def __call__(self, features: Mapping[str, float]) -> float:
        """Probability in [0, 1] from an image's and a text's features (`medsam_exp.masks.presence.features`)."""

    def check_network(self, fingerprint: str) -> None:
        """Refuse a CLIP model whose similarities the score was not made for.

        Raises:
            UserError: it was calibrated for another one.
        """


@runtime_checkable
class NetworkPresence(Protocol):
    """Has a network of its own to say whether an image shows the target of a text, which needs no CLIP and no map.

    Attributes:
        calibrated_on: as of `PresenceScorer`.
    """

    calibrated_on: str | None

    def network(self) -> Any:
        """Return the network, a `medsam_exp.text_segmenter.segmenter.TextSegmenter`, loaded when it is asked for."""


class PairSource(Protocol):
    """Image-text pairs by id, for fine-tuning CLIP.

    Attributes:
        ids: in a fixed order.
        notes: what was cleaned or skipped, one sentence each.
        patients: what to draw together, by id, as images of one patient are not independent; None where unknown.
    """

    ids: tuple[str, ...]
    notes: tuple[str, ...]
    patients: Mapping[str, str] | None

    def read_image(self, pair_id: str) -> RGBImage:
        """Read the pixels of one image."""

    def captions(self, pair_id: str) -> tuple[str, ...]:
        """All truthful captions of one image; training draws one per epoch."""

    def identity(self, pair_id: str) -> str:
        """Equal for images of the same pixels, as a dataset's."""

    def digest(self, digests: "FileDigests") -> str:
        """Hash of what decides all images and captions."""


@dataclass(frozen=True)
class PairBatch(TensorBatch):
    """A contrastive batch.

    Attributes:
        image: (B, 3, h, w) float, as the network wants it.
        tokens: (B, L) int64 token ids of one caption each.
    """

    image: "torch.Tensor"
    tokens: "torch.Tensor"
