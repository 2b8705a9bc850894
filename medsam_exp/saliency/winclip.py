"""WinCLIP: windows of few patches go through the network alone, and each asks for the text (Jeong 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.method import SaliencyMethod, frozen
from medsam_exp.types import UserError


@dataclass(frozen=True)
class WinCLIP(SaliencyMethod):
    """Match of each window of patches with the text, harmonically averaged (WinCLIP, arXiv 2303.14814).

    A window's embedding is that of the image with only the window's patches (and the class token) left from the first
    layer on. A patch has the harmonic mean of the scores of all windows of one size that hold it, and the relevance is
    the harmonic mean over the sizes and the whole image. WinCLIP scores by the probability of "damaged" against
    "flawless"; there is one text here, so a window scores (1 + cos(text, window)) / 2.

    Args:
        windows: sides of the square windows in patches; at least one, none larger than the grid.

    Raises:
        UserError: a window makes no sense.
    """

    needs: ClassVar[Capability | None] = "tokens"
    windows: Sequence[int] = (2, 3)

    def __post_init__(self) -> None:
        if not self.windows or min(self.windows) < 1:
            raise UserError(
                f"saliency.windows must be sides of at least 1 patch, but is {list(self.windows)}."
            )

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 in (0, 1]; see `SaliencyMethod`."""
        clip.require(self.needs, "WinCLIP")
        if max(self.windows) > min(clip.grid):
            raise UserError(
                f"saliency.windows has {max(self.windows)}, but the grid of patches is {clip.grid}."
            )
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_entering(images, 0)
            places = torch.arange(clip.grid[0] * clip.grid[1], device=images.device).unflatten(0, clip.grid)
            inverse = 1 / _scores(clip, tokens[:, None], text_embedding)  # (B, 1), of the whole image
            inverse = inverse[..., None]
            for side in self.windows:
                windows = places.unfold(0, side, 1).unfold(1, side, 1)
                inverse = inverse + _inverse_mean(clip, tokens, windows, text_embedding)
            relevance: Tensor = (1 + len(self.windows)) / inverse
            return relevance


def _inverse_mean(clip: ClipModel, tokens: Tensor, windows: Tensor, text_embedding: Tensor) -> Tensor:
    """Mean over the windows (rows, columns, side, side) that hold a patch of 1 / score, (B, gh, gw)."""
    rows, columns, side, _ = windows.shape
    patches = tokens[:, clip.prefix_tokens :][:, windows.flatten(2).flatten(0, 1)]
    before = tokens[:, None, : clip.prefix_tokens].expand(-1, rows * columns, -1, -1)
    inverse = 1 / _scores(clip, torch.cat([before, patches], dim=2), text_embedding)
    total, held = inverse.new_zeros(len(tokens), *clip.grid), inverse.new_zeros(clip.grid)
    # Window by window, as scattering would, but in one order on every device.
    for down, right in product(reversed(range(side)), repeat=2):
        place = (..., slice(down, down + rows), slice(right, right + columns))
        total[place] += inverse.unflatten(1, (rows, columns))
        held[place] += 1
    return total / held


def _scores(clip: ClipModel, tokens: Tensor, text_embedding: Tensor) -> Tensor:
    """(1 + cos) / 2 > 0 (B, N) of texts (B, D) with images of which only some tokens (B, N, t, C) are left."""
    embedding = clip.vision_from(tokens.flatten(0, 1), 0).float().unflatten(0, tokens.shape[:2])
    cosine = cosine_similarity(embedding, text_embedding.float()[:, None], dim=-1)
    return ((1 + cosine) / 2).clamp(min=1e-6)
