"""GEM: beside the last blocks each patch attends to those with like queries, keys and values (Bousselham 2024)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.clip.blocks import PlainBlock
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.dense import DenseMethod, side_path
from medsam_exp.saliency.method import at_least_one
from medsam_exp.types import UserError


@dataclass(frozen=True)
class GEM(DenseMethod):
    """Cosine of text and patches after a path of self-self attention (Grounding Everything, arXiv 2312.00878).

    Beside the last blocks runs a path without their MLPs (`side_path`). With n the normed tokens that enter a block,
    d the width of a head and 1 / tau = mean over tokens of |n| / sqrt(d), each x of queries, keys and values goes,
    `iterations` times, from x to softmax(x^ x^' / tau) x^ for x^ = x / |x|. Then the attention is
    softmax(x^ x^' / tau), applied to the values and averaged over queries, keys and values.

    Args:
        blocks: how many of the last blocks, at least 1; all when the network has fewer.
        iterations: of gathering like tokens before they are attended to, >= 0.

    Raises:
        UserError: a number makes no sense.
    """

    blocks: int = 6
    iterations: int = 1

    def __post_init__(self) -> None:
        at_least_one("blocks", self.blocks)
        if self.iterations < 0:
            raise UserError(f"saliency.iterations must be at least 0, but is {self.iterations}.")

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """See `DenseMethod`."""
        return side_path(clip, images, self.blocks, self._mixed)

    def _mixed(self, block: PlainBlock, tokens: Tensor) -> Tensor:
        parts = block.queries_keys_values(tokens)
        value = parts[2]
        length = block.normed(tokens).norm(dim=-1).mean(dim=-1)[:, None, None, None]
        sharpness = length * value.shape[-1] ** -0.5
        mixed = torch.zeros_like(value)
        for given in parts:
            part = given
            for _ in range(self.iterations):
                part = _attended_to(part, sharpness, normalize(part, dim=-1))
            mixed = mixed + _attended_to(part, sharpness, value) / 3
        return mixed


def _attended_to(part: Tensor, sharpness: Tensor, values: Tensor) -> Tensor:
    directions = normalize(part, dim=-1)
    return (sharpness * directions @ directions.mT).softmax(dim=-1) @ values
