"""M2IB the plain way, in the order the published programs work: everything anew at each of the steps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate

from medsam_exp.clip.model import ClipModel


class Bottleneck(nn.Module):
    """Noise after a block, as a forward hook of that block."""

    def __init__(self, tokens: Tensor, initial_alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full_like(tokens, initial_alpha))
        self.noise = torch.zeros(0)
        self.information = torch.zeros(0)

    def hook(self, _: nn.Module, __: Any, tokens: Tensor) -> Tensor:
        """Mix the tokens (N, T, C) of N copies with noise; remember the information that passes."""
        kept = torch.sigmoid(self.alpha).expand_as(tokens)
        mean, variance = kept * tokens, (1 - kept) ** 2
        self.information = -0.5 * (1 + torch.log(variance) - mean**2 - variance)
        return mean + variance.sqrt() * self.noise


def plain_m2ib(
    clip: ClipModel, image: Tensor, text_tokens: Tensor, noise: Sequence[Tensor], layer: int, beta: float
) -> Tensor:
    """Saliency of one image: identical copies through both whole towers, forward and backward, at every step.

    Args:
        clip: a model with a timm trunk, in evaluation mode, its parameters without gradient.
        image: (1, 3, h, w), preprocessed.
        text_tokens: (1, L).
        noise: for each step (N, T, C); N is the number of copies.
        layer: 0-based block after which the bottleneck sits.
        beta: weight of compression against relevance.

    Returns:
        (gh, gw) relevance, not normalised.
    """
    visual: Any = clip.network.visual
    block = visual.trunk.blocks[layer]
    copies = len(noise[0])
    bottleneck = Bottleneck(torch.zeros_like(noise[0][:1]), initial_alpha=5.0)
    optimizer = torch.optim.Adam(bottleneck.parameters(), lr=1.0)
    handle = block.register_forward_hook(bottleneck.hook)
    try:
        for bottleneck.noise in noise:
            optimizer.zero_grad()
            text = clip.encode_text(text_tokens.repeat(copies, 1))
            embedding = clip.encode_image(image.repeat(copies, 1, 1, 1))
            fitting = cosine_similarity(text, embedding, dim=-1).mean()
            loss = beta * bottleneck.information.mean() - fitting
            loss.backward()
            optimizer.step()
    finally:
        handle.remove()
    relevance = bottleneck.information.detach().mean(0).nansum(-1)
    return relevance[clip.prefix_tokens :].reshape(clip.grid)


def unit_map(relevance: Tensor, size: int) -> Tensor:
    """(size, size) in [0, 1]: bilinear, then min-max."""
    large = interpolate(relevance[None, None], (size, size), mode="bilinear")[0, 0]
    return (large - large.min()) / (large.max() - large.min())
