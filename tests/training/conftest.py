"""A CLIP and pairs so small that a training takes a second."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from medsam_exp.runtime.digests import FileDigests
from medsam_exp.sam.framing import LongestSide
from medsam_exp.training.schedules import warmup_cosine
from medsam_exp.types import Mask, RGBImage, Sample


class SmallClip(nn.Module):
    """Two towers of one linear layer, a norm and dropout."""

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.vision = nn.Sequential(nn.Linear(48, 16), nn.LayerNorm(16), nn.Dropout(dropout))
            self.text = nn.Sequential(nn.Embedding(3 * 64, 16), nn.LayerNorm(16))
        self.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.eval()

    def preprocess(self, image: RGBImage) -> Tensor:
        rows = torch.linspace(0, image.shape[0] - 1, 4).round().long()
        columns = torch.linspace(0, image.shape[1] - 1, 4).round().long()
        return torch.from_numpy(image[rows][:, columns]).permute(2, 0, 1).float() / 255

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[(17 * ord(letter)) % 64 for letter in text[:3].ljust(3)] for text in texts])

    def encode_image(self, images: Tensor) -> Tensor:
        return self.vision(images.flatten(1))

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.text(tokens + torch.arange(0, 3 * 64, 64)).sum(1)


class SmallPairs:
    """Random images, each with captions of its own."""

    notes: tuple[str, ...] = ()

    def __init__(self, count: int, captions: int = 2) -> None:
        self.ids = tuple(f"p{index:02}" for index in range(count))
        self._captions = captions

    def read_image(self, pair_id: str) -> RGBImage:
        generator = np.random.default_rng(int(pair_id[1:]))
        return generator.integers(0, 256, (9, 13, 3), dtype=np.uint8)

    def captions(self, pair_id: str) -> tuple[str, ...]:
        return tuple(f"{'abcd'[number]}{pair_id[1:]}" for number in range(self._captions))

    def digest(self, digests: FileDigests) -> str:
        return str(len(self.ids))


@pytest.fixture
def make_trainer(tmp_path) -> Callable[..., pl.Trainer]:
    """A quiet CPU trainer that writes below tmp_path."""
    return partial(
        pl.Trainer,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
    )


@pytest.fixture
def adamw() -> Callable[..., torch.optim.Optimizer]:
    return partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1)


@pytest.fixture
def cosine() -> Callable[..., torch.optim.lr_scheduler.LRScheduler]:
    return partial(warmup_cosine, warmup_fraction=0.1, final_fraction=0.0)


@pytest.fixture
def small_clip() -> type[SmallClip]:
    return SmallClip


@pytest.fixture
def small_pairs() -> type[SmallPairs]:
    return SmallPairs


class Discs:
    """Bright discs on dark images of 40 x 64 pixels; the corner's brightness tells the image's number."""

    name = "discs"
    has_ground_truth = True
    notes: tuple[str, ...] = ()

    def __init__(self, count: int, empty: int = 0) -> None:
        self._count = count
        self.samples = tuple(Sample(f"{number:02}") for number in range(count + empty))

    def read_ground_truth(self, sample_id: str) -> Mask:
        generator = np.random.default_rng(int(sample_id))
        (row, column), radius = generator.uniform([10, 10], [30, 54]), generator.uniform(4, 9)
        rows, columns = np.mgrid[:40, :64]
        disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        return disc if int(sample_id) < self._count else np.zeros_like(disc)

    def read_image(self, sample_id: str) -> RGBImage:
        image = np.random.default_rng(int(sample_id) + 99).integers(0, 10, (40, 64, 3), dtype=np.uint8)
        image[self.read_ground_truth(sample_id)] = 150
        image[:4, :4] = 200 + int(sample_id)
        return image

    def image_digest(self, sample_id: str, digests: FileDigests) -> str:
        return sample_id

    ground_truth_digest = image_digest


class PlainSam:
    """Only the preprocessing of a SAM: half the size, no standardisation."""

    image_size = 32
    framing = LongestSide(32)

    def preprocess(self, image: RGBImage) -> Tensor:
        small = torch.nn.functional.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1).float(), 2)
        return torch.nn.functional.pad(small, (0, 32 - small.shape[2], 0, 32 - small.shape[1]))


@pytest.fixture
def discs() -> type[Discs]:
    return Discs


@pytest.fixture
def plain_sam() -> PlainSam:
    return PlainSam()
