"""Attention affinity refinement: relevance spreads to patches that attend to each other (CLIP-ES, Lin 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.ndimage import find_objects, label
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import at_least_one, frozen, unit
from medsam_exp.saliency.wrapper import Wrapper
from medsam_exp.types import UserError

_SINKHORN_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Affinity(Wrapper):
    """Class-aware attention-based affinity (CLIP-ES, arXiv 2212.09506) on the map of another method.

    - W is the attention among patches, averaged over heads and the last blocks; its columns, then its rows are
      scaled to sum 1, three times, and D = (W + W') / 2;
    - B is 1 in the boxes around the connected regions (diagonals count) where the map, scaled to [0, 1], reaches
      `threshold`, else 0;
    - the refined map is D^2 (B map), each patch's share in what the boxes hold.

    The attention knows no text; it enters by the inner map alone. The authors' code cuts the grid's last row and
    column off the boxes; here they stay.

    Args:
        inner: a saliency method with one value for each patch.
        blocks: how many of the last blocks, at least 1; all when the network has fewer.
        threshold: of the map in [0, 1].

    Raises:
        UserError: a number makes no sense, or the inner map is not one of patches.
    """

    needs: ClassVar[Capability | None] = "blocks"
    blocks: int = 8
    threshold: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one("blocks", self.blocks)
        if not 0 <= self.threshold <= 1:
            raise UserError(f"saliency.threshold must be between 0 and 1, but is {self.threshold}.")
        if not self.inner.of_patches:
            raise UserError(
                f"saliency.inner is {type(self.inner).__name__}, which gives no value for each patch, but affinity "
                "refines patches; choose another inner method, such as saliency@saliency.inner=patch_text."
            )

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0; see `SaliencyMethod`."""
        clip.require(self.needs, "affinity refinement")
        relevance = unit(self.inner(clip, images, text_embedding, generators))
        with frozen(clip), torch.no_grad():
            affinity = patch_affinity(clip, images, self.blocks)
            held = relevance * in_boxes(relevance >= self.threshold)
            with torch.autocast(images.device.type, enabled=False):
                refined = affinity @ (affinity @ held.flatten(1)[..., None])
            result: Tensor = refined[..., 0].unflatten(1, clip.grid)
            return result


def patch_affinity(clip: ClipModel, images: Tensor, blocks: int) -> Tensor:
    """How much patches attend to each other, (B, gh * gw, gh * gw) float32, symmetric."""
    first, start = max(0, clip.depth - blocks), clip.prefix_tokens
    tokens = clip.vision_entering(images, first)
    affinity = torch.zeros((), device=images.device)
    for layer in range(first, clip.depth):
        tokens, paid = clip.block(layer).with_attention(tokens)
        affinity = affinity + paid.float().mean(dim=1)[:, start:, start:]
    for _ in range(_SINKHORN_STEPS):
        affinity = affinity / affinity.sum(dim=1, keepdim=True)
        affinity = affinity / affinity.sum(dim=2, keepdim=True)
    return (affinity + affinity.mT) / 2


def in_boxes(masks: Tensor) -> Tensor:
    """Boxes around the connected regions of masks (B, gh, gw), diagonals included, as masks."""
    boxes = np.zeros(masks.shape, bool)
    for filled, mask in zip(boxes, masks.cpu().numpy(), strict=True):
        for region in find_objects(label(mask, np.ones((3, 3)))[0]):
            filled[region] = True
    return torch.from_numpy(boxes).to(masks.device)
