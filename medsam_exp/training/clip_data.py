"""Batches of image-text pairs for fine-tuning CLIP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.training.training_data import TrainingData, read_all
from medsam_exp.types import PairBatch, PairSource, RGBImage, UserError


def random_crop(image: RGBImage, smallest_area: float, generator: np.random.Generator) -> RGBImage:
    """Cut a little off the borders; nothing is mirrored, so that left stays left.

    Args:
        image: (H, W, 3) uint8.
        smallest_area: share of the image's area that always stays, in (0, 1]; 1 keeps all of it.
        generator: decides size and place.

    Returns:
        (H', W', 3) uint8, a view.
    """
    height, width = image.shape[:2]
    shares = generator.uniform(np.sqrt(smallest_area), 1, size=2)
    kept_height, kept_width = (
        max(1, round(share * side)) for share, side in zip(shares, (height, width), strict=True)
    )
    top = int(generator.integers(height - kept_height + 1))
    left = int(generator.integers(width - kept_width + 1))
    return image[top : top + kept_height, left : left + kept_width]


@dataclass(frozen=True, eq=False)
class AugmentedPairs(TorchDataset[tuple[Tensor, str]]):
    """Network input and one caption of a pair, a pure function of (seed, epoch, pair id).

    Args:
        pairs: images and captions by id.
        read_image: pixels of one image by id; `pairs.read_image`, or a memory of it.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        smallest_crop: share of the image's area that always stays; 1 switches cropping off.
        seed: of crops and captions.
    """

    pairs: PairSource
    read_image: Callable[[str], RGBImage]
    preprocess: Callable[[RGBImage], Tensor]
    smallest_crop: float
    seed: int

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs.ids)

    def __getitem__(self, epoch_and_index: tuple[int, int]) -> tuple[Tensor, str]:
        """Return (3, h, w) network input and the caption drawn for this epoch."""
        epoch, index = epoch_and_index
        pair_id = self.pairs.ids[index]
        generator = numpy_generator(self.seed, pair_id, "finetune_clip", epoch)
        captions = self.pairs.captions(pair_id)
        caption = captions[generator.integers(len(captions))]
        image = self.read_image(pair_id)
        if self.smallest_crop < 1:
            image = random_crop(image, self.smallest_crop, generator)
        return self.preprocess(image), caption


class PairsDataModule(TrainingData):
    """Shuffled, augmented training batches and fixed validation batches.

    Args:
        pairs: to train on.
        val_pairs: to watch the training with; None trains blindly.
        preprocess: image (H, W, 3) uint8 to network input (3, h, w).
        tokenize: K texts to (K, L) int64.
        batch_size: pairs that are contrasted with each other, over all devices.
        seed: with the epoch it decides the order, with the epoch and a pair's id its crop and caption.
        workers: loading processes; the batches do not depend on it.
        smallest_crop: share of an image's area that a random crop keeps at least (open_clip: 0.9); 1 is off.
        cache_images: read every image once and keep it in memory.
        val_batch_size: pairs per validation batch (paper: 50).

    Raises:
        UserError: a value is out of its range.
    """

    def __init__(
        self,
        pairs: PairSource,
        val_pairs: PairSource | None,
        preprocess: Callable[[RGBImage], Tensor],
        tokenize: Callable[[Sequence[str]], Tensor],
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        smallest_crop: float = 0.9,
        cache_images: bool = False,
        val_batch_size: int = 50,
    ) -> None:
        super().__init__(batch_size=batch_size, val_batch_size=val_batch_size, seed=seed, workers=workers)
        if not 0 < smallest_crop <= 1:
            raise UserError(f"smallest_crop is {smallest_crop}, but a share of the area must be in (0, 1].")
        if val_pairs is not None and len(val_pairs.ids) < 2:
            raise UserError(f"Validation needs at least two pairs, but there are {len(val_pairs.ids)}.")
        self._pairs, self._val_pairs = pairs, val_pairs
        self.train_size = len(pairs.ids)
        self._preprocess, self._tokenize = preprocess, tokenize
        self._smallest_crop, self._cache_images = smallest_crop, cache_images
        self._read_image: Callable[[str], RGBImage] = pairs.read_image

    def setup(self, stage: str) -> None:
        """Read the training images into memory, if asked for."""
        if stage == "fit" and self._cache_images:
            self._read_image = read_all(self._pairs.read_image, self._pairs.ids, self._workers).__getitem__

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """Batches of the current epoch."""
        dataset = AugmentedPairs(
            self._pairs, self._read_image, self._preprocess, self._smallest_crop, self._seed
        )
        return self._training_loader(dataset, self._collate)

    def val_dataloader(self) -> DataLoader[PairBatch] | list[DataLoader[PairBatch]]:
        """The same batches every time: whole images, one fixed caption each, an incomplete batch left out."""
        if self._val_pairs is None:
            return []
        dataset = AugmentedPairs(
            self._val_pairs, self._val_pairs.read_image, self._preprocess, 1.0, self._seed
        )
        return self._validation_loader(dataset, self._collate)

    def _collate(self, items: list[tuple[Tensor, str]]) -> PairBatch:
        images, captions = zip(*items, strict=True)
        return PairBatch(torch.stack(images), self._tokenize(captions))
