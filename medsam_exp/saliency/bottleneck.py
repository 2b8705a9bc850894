"""Information bottleneck on the tokens of a transformer, for images and for texts (M2IB, arXiv:2312.17174)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, logsigmoid

from medsam_exp.runtime.console import progress_within
from medsam_exp.types import UserError


@dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """Optimises how much noise replaces each token and channel, under an objective; `M2IB` has the equations.

    Args:
        beta: weight of compression against relevance, >= 0; larger leaves less of the image or text.
        steps: forward passes; alpha is updated between them, so `steps - 1` times.
        lr: learning rate of Adam.
        noise_samples: noise drawings S per image or text and step.
        initial_alpha: alpha at the start; 5 lets 99.3 % of the signal through.

    Raises:
        UserError: a number makes no sense.
    """

    group: ClassVar[str]
    beta: float
    steps: int = 10
    lr: float = 1.0
    noise_samples: int = 10
    initial_alpha: float = 5.0

    def __post_init__(self) -> None:
        if self.steps < 2 or self.noise_samples < 1 or self.lr <= 0 or self.beta < 0:
            raise UserError(
                f"{self.group} needs steps >= 2, noise_samples >= 1, lr > 0 and beta >= 0, but has "
                f"steps={self.steps}, noise_samples={self.noise_samples}, lr={self.lr}, beta={self.beta}."
            )

    def optimize(
        self,
        signal: Tensor,
        generators: Sequence[torch.Generator],
        objective: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Minimise the objective over alpha by Adam; rows do not influence each other, as objectives are summed.

        The relevance is read off the last forward pass; capacity depends on alpha alone, so no network runs for it.

        Args:
            signal: (B, T, C) float32 tokens.
            generators: B generators; the i-th decides the noise of row i.
            objective: (alpha, tokens mixed with noise (B, S, T, C)) to what each row minimises (B,).

        Returns:
            Alpha (B, T, C) after the updates.
        """
        alpha = torch.full_like(signal, self.initial_alpha, requires_grad=True)
        optimizer = torch.optim.Adam([alpha], lr=self.lr)
        for _ in range(self.steps - 1):
            noise = draw_noise(generators, (self.noise_samples, *signal.shape[1:]), signal.device)
            with torch.enable_grad():
                kept = torch.sigmoid(alpha)[:, None]
                mixed = kept * signal[:, None] + (1 - kept) * noise
                alpha.grad = torch.autograd.grad(objective(alpha, mixed).sum(), alpha)[0]
            optimizer.step()
            progress_within(len(signal) / self.steps)
        return alpha


def mean_similarity(wanted: Tensor, found: Tensor) -> Tensor:
    """Mean cosine (B,) of embeddings (B, D) with S noisy ones each, (B S, D), row by row."""
    noisy = found.float().unflatten(0, (len(wanted), -1))
    return cosine_similarity(wanted.float()[:, None], noisy, dim=-1).mean(dim=1)


def capacity(alpha: Tensor, signal: Tensor) -> Tensor:
    """Information that passes the bottleneck, in nats, for each token and channel (B, T, C)."""
    kept = torch.sigmoid(alpha)
    return ((kept * signal).square() + (1 - kept).square() - 1) / 2 - logsigmoid(-alpha)


def draw_noise(
    generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device | str
) -> Tensor:
    """Draw standard normal noise for each row of a batch by its own generator.

    Args:
        generators: B generators; the i-th alone decides row i.
        shape: of a row.
        device: of the result; numbers are drawn on each generator's device.

    Returns:
        (B, *shape).
    """
    rows = [torch.randn(shape, generator=g, device=g.device).to(device) for g in generators]
    return torch.stack(rows)
