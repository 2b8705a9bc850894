"""NACLIP: in the last block each patch attends to its neighbours and to those with like keys (Hajimiri 2025)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.dense import DenseMethod, likeness
from medsam_exp.types import UserError


@dataclass(frozen=True)
class NACLIP(DenseMethod):
    """Cosine of text and patches after neighbourhood attention in the last block (NACLIP, arXiv 2404.08181).

    For the keys k and values v of a head of width d, the attention of patch p to patch q gives way to
    softmax over q of (k_p k_q' / sqrt(d) + exp(-|p - q|^2 / (2 std^2))), |p - q| in patches; tokens before the patches
    get no such bonus. What is attended to is projected; residual path and MLP of the block are left out.

    Args:
        std: width of the neighbourhood in patches, > 0.

    Raises:
        UserError: the number makes no sense.
    """

    std: float = 5.0

    def __post_init__(self) -> None:
        if self.std <= 0:
            raise UserError(f"saliency.std must be above 0, but is {self.std}.")

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """See `DenseMethod`."""
        block = clip.block(clip.depth - 1)
        _, key, value = block.queries_keys_values(clip.vision_entering(images, clip.depth - 1))
        near = pad(self.neighbourhood(clip.grid), (clip.prefix_tokens, 0, clip.prefix_tokens, 0)).to(key)
        return block.attended((likeness(key) + near).softmax(dim=-1) @ value)

    def neighbourhood(self, grid: tuple[int, int]) -> Tensor:
        """What is added for each pair of patches of a grid (gh, gw), (gh * gw, gh * gw)."""
        places = torch.cartesian_prod(*(torch.arange(float(side)) for side in grid))
        return torch.exp(torch.cdist(places, places).square() / (-2 * self.std**2))
