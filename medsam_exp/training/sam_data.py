"""Images with true masks and imperfect visual prompts, to train a SAM; a declared reader of ground truth."""

from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.training.prompt_jitter import (
    filled_box,
    jittered_box,
    missing_box,
    random_component,
    random_points,
    tight_box,
)
from medsam_exp.training.training_data import TrainingData, read_all
from medsam_exp.types import Dataset, Mask, RGBImage, UserError


@dataclass(frozen=True)
class MaskPromptBatch(TensorBatch):
    """Images with one true object or none each, and prompts for it; everything in the network's input frame, S x S.

    Attributes:
        image: (B, 3, S, S) float, as the network wants it.
        mask: (B, S, S) float in {0, 1}.
        boxes: (B, 4) float x0, y0, x1, y1 in pixels.
        points: (B, P, 2) float x, y in pixels.
        point_labels: (B, P) int64: 1 foreground, 0 background, -1 no point.
    """

    image: Tensor
    mask: Tensor
    boxes: Tensor
    points: Tensor
    point_labels: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class PromptedMasks(TorchDataset[MaskPromptBatch]):
    """One object of an image with prompts for it, a pure function of (seed, epoch, sample id).

    A share of the prompts lies where no object is: the mask that they mean is empty.

    Args:
        images: (H, W, 3) uint8 by id.
        masks: (H, W) non-empty, by id.
        sample_ids: which ones, in order.
        sam: gives the preprocessing.
        seed: of mirroring and prompts.
        smallest_iou: of a jittered box with the true one.
        point_count: P.
        missing_share: of prompts that lie beside all objects, in [0, 1].
        mirror: whether to mirror images at random.
    """

    images: dict[str, RGBImage]
    masks: dict[str, Mask]
    sample_ids: list[str]
    sam: PromptableModel
    seed: int
    smallest_iou: float
    point_count: int
    missing_share: float
    mirror: bool

    def __len__(self) -> int:
        """Number of images."""
        return len(self.sample_ids)

    def __getitem__(self, epoch_and_index: tuple[int, int]) -> MaskPromptBatch:
        """Return one image's fields, without the axis B."""
        epoch, index = epoch_and_index
        sample_id = self.sample_ids[index]
        generator = numpy_generator(self.seed, sample_id, "train_sam", epoch)
        image, mask = self.images[sample_id], self.masks[sample_id]
        if self.mirror:
            flip = tuple(slice(None, None, -1 if generator.random() < 0.5 else 1) for _ in range(2))
            image, mask = np.ascontiguousarray(image[flip]), np.ascontiguousarray(mask[flip])
        target = random_component(mask, generator)
        size = (mask.shape[0], mask.shape[1])
        empty = None
        if generator.random() < self.missing_share:
            empty = missing_box(mask, tight_box(target), generator)
        if empty is None:
            box = jittered_box(tight_box(target), size, self.smallest_iou, generator)
            points, labels = random_points(target, box, self.point_count, generator)
        else:
            box, target = empty, np.zeros_like(mask)
            points, labels = random_points(filled_box(box, size), box, self.point_count, generator)
        framing = self.sam.framing
        corners, places = (
            framing.to_input(each, size).astype(np.float32) for each in (box.reshape(2, 2), points)
        )
        return MaskPromptBatch(
            image=self.sam.preprocess(image),
            mask=framing.mask_to_input(target),
            boxes=torch.from_numpy(corners.reshape(4)),
            points=torch.from_numpy(places),
            point_labels=torch.from_numpy(labels),
        )


class MaskPromptDataModule(TrainingData):
    """Trains a SAM on the objects of a dataset; images without an object are left out.

    Args:
        dataset: images and true masks, all read into memory once.
        sam: gives the preprocessing.
        batch_size: images per training batch, over all devices.
        seed: with the epoch it decides the order, with the epoch and a sample's id mirroring and prompts.
        workers: loading processes; the batches do not depend on it.
        held_out: share of the objects that only validation sees, in [0, 1).
        smallest_iou: the roughest box's overlap with the true one; saliency gives about 0.3 and more.
        point_count: the most points of one prompt.
        missing_share: of prompts that lie beside all objects and mean an empty mask, in [0, 1].
    """

    def __init__(
        self,
        dataset: Dataset,
        sam: PromptableModel,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        held_out: float = 0.05,
        smallest_iou: float = 0.3,
        point_count: int = 5,
        missing_share: float = 0.25,
    ) -> None:
        super().__init__(batch_size=batch_size, val_batch_size=batch_size, seed=seed, workers=workers)
        self._dataset, self._held_out = dataset, held_out
        self._prompted = partial(
            PromptedMasks,
            sam=sam,
            seed=seed,
            smallest_iou=smallest_iou,
            point_count=point_count,
            missing_share=missing_share,
        )
        self._train_ids: list[str] = []

    def setup(self, stage: str) -> None:
        """Read all images and true masks, and set the validation's share apart.

        Raises:
            UserError: no image of the dataset has an object.
        """
        if stage != "fit" or self._train_ids:
            return
        ids = [sample.id for sample in self._dataset.samples]
        self._masks = read_all(self._dataset.read_ground_truth, ids, self._workers)
        ids = [sample_id for sample_id in ids if self._masks[sample_id].any()]
        if not ids:
            raise UserError(f"The dataset {self._dataset.name} has no object in any mask to train SAM on.")
        self._images = read_all(self._dataset.read_image, ids, self._workers)
        order = numpy_generator(self._seed, "held out").permutation(len(ids))
        self._val_ids = [ids[index] for index in order[: round(self._held_out * len(ids))]]
        self._train_ids = [ids[index] for index in order[len(self._val_ids) :]]
        self.train_size = len(self._train_ids)

    def train_dataloader(self) -> DataLoader[MaskPromptBatch]:
        """Batches of the current epoch."""
        return self._training_loader(self._objects(self._train_ids, mirror=True), _collate)

    def val_dataloader(self) -> DataLoader[MaskPromptBatch] | list[DataLoader[MaskPromptBatch]]:
        """The same images and prompts every time."""
        if not self._val_ids:
            return []
        return self._validation_loader(self._objects(self._val_ids, mirror=False), _collate)

    def _objects(self, sample_ids: list[str], *, mirror: bool) -> PromptedMasks:
        return self._prompted(images=self._images, masks=self._masks, sample_ids=sample_ids, mirror=mirror)


def _collate(items: list[MaskPromptBatch]) -> MaskPromptBatch:
    return MaskPromptBatch(
        *(torch.stack([getattr(item, field.name) for item in items]) for field in fields(MaskPromptBatch))
    )
