"""Networks that answer at once, so that a benchmark measures the work around them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from medsam_exp.saliency.geometry import Squash
from medsam_exp.types import Prompts, RGBImage

_SIDE = 56


def small(image: RGBImage) -> Tensor:
    """(3, h, w) float32 in [0, 1] of an (H, W, 3) image."""
    squashed = Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(squashed)).permute(2, 0, 1) / 255


def relevance(images: Tensor) -> Tensor:
    """(B, 14, 14), the brightness of (B, 3, h, w)."""
    return adaptive_avg_pool2d(images.mean(1), 14)


class InstantClip(nn.Module):
    """Has one embedding for every text."""

    preprocess = staticmethod(small)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """(n, 3) tokens."""
        return torch.zeros(len(texts), 3, dtype=torch.int64)

    tokenizer = tokenize

    def encode_text(self, tokens: Tensor) -> Tensor:
        """(n, 4) embeddings."""
        return torch.ones(len(tokens), 4)


class InstantSaliency:
    """Finds what is bright."""

    def geometry(self, clip: InstantClip) -> Squash:
        """The whole image."""
        return Squash(clip.preprocess)

    def __call__(self, _: InstantClip, images: Tensor, *__: Any) -> Tensor:
        """(B, 14, 14) relevance of (B, 3, h, w)."""
        return relevance(images)


class InstantSam(nn.Module):
    """Fills each box."""

    preprocess = staticmethod(small)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 1, 1, 1) of (B, 3, h, w)."""
        return torch.zeros(len(images), 1, 1, 1)

    def decode(
        self, _: Tensor, prompts: Prompts, size: tuple[int, int], **__: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(1, H, W) logits and (1,) expected IoU of each prompt."""
        assert prompts.boxes_xyxy is not None
        for left, top, right, bottom in prompts.boxes_xyxy.astype(int).tolist():
            logits = torch.full((1, *size), -1.0)
            logits[:, top:bottom, left:right] = 1
            yield logits, torch.ones(1)
