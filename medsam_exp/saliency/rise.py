"""RISE: random masks hide parts of the image, and those under which the match holds count (Petsiuk 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.gscorecam import masked_similarity
from medsam_exp.saliency.method import SaliencyMethod, at_least_one, frozen
from medsam_exp.types import UserError


@dataclass(frozen=True)
class RISE(SaliencyMethod):
    """Randomized input sampling for explanation (arXiv 1806.07421): the network is asked, never looked into.

    A mask M_i is a grid of cells, each kept with the probability `share`, upsampled (bilinear) to one cell more than
    the image on each side and cut out at a random place. With s_i = cos(text, image masked by M_i), the map is
    sum_i s_i M_i / (masks share); what is hidden has the training images' mean colour. Here it is averaged over each
    patch, which loses nothing where cells are larger than patches.

    Args:
        masks: how many, at least 1; each is a forward pass per image.
        cells: along a side of the image, at least 1.
        share: of cells that are kept, between 0 and 1.
        chunk_size: masked images that go through the network together; bounds the memory, not the result.

    Raises:
        UserError: a number makes no sense.
    """

    masks: int = 2000
    cells: int = 8
    share: float = 0.5
    chunk_size: int = 16

    def __post_init__(self) -> None:
        for name in ("masks", "cells", "chunk_size"):
            at_least_one(name, getattr(self, name))
        if not 0 < self.share < 1:
            raise UserError(f"saliency.share must be between 0 and 1, but is {self.share}.")

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32, a weighted mean of masks; see `SaliencyMethod`."""
        clip.require(self.needs, "RISE")
        with frozen(clip), torch.no_grad():
            rows = zip(images, text_embedding, generators, strict=True)
            return torch.stack([self._relevance(clip, *row) for row in rows])

    def _relevance(
        self, clip: ClipModel, image: Tensor, text_embedding: Tensor, generator: torch.Generator
    ) -> Tensor:
        """(gh, gw) of one image (3, h, w)."""
        relevance = torch.zeros(clip.grid, device=image.device)
        for masks in self._masks((image.shape[1], image.shape[2]), generator):
            some = masks.to(image.device)
            match = masked_similarity(clip, image, some, text_embedding)
            relevance += (match[:, None, None] * adaptive_avg_pool2d(some, clip.grid)).sum(dim=0)
        return relevance / (self.masks * self.share)

    def _masks(self, size: tuple[int, int], generator: torch.Generator) -> Iterator[Tensor]:
        """Masks (chunk, h, w) in [0, 1], in chunks; all are drawn at once, so that chunks change nothing."""
        device = generator.device
        drawn = torch.rand(self.masks, self.cells, self.cells, generator=generator, device=device)
        kept = (drawn < self.share).float()
        cell = [-(-side // self.cells) for side in size]
        shifts = [torch.randint(side, (self.masks,), generator=generator, device=device) for side in cell]
        large = tuple((self.cells + 1) * side for side in cell)
        for some, *places in zip(*(part.split(self.chunk_size) for part in (kept, *shifts)), strict=True):
            upsampled = interpolate(some[:, None], large, mode="bilinear", align_corners=False)[:, 0]
            yield torch.stack(
                [
                    mask[top : top + size[0], left : left + size[1]]
                    for mask, top, left in zip(upsampled, *(place.tolist() for place in places), strict=True)
                ]
            )
