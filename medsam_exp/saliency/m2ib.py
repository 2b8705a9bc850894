"""M2IB: what a text needs from an image, by an information bottleneck inside the vision tower (Wang 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, logsigmoid

from medsam_exp.clip.layout import Offer
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.frozen import frozen
from medsam_exp.saliency.method import SaliencyMethod
from medsam_exp.types import UserError


@dataclass(frozen=True)
class M2IB(SaliencyMethod):
    """Multi-modal information bottleneck (MedCLIP-SAMv2, eq. 16).

    Noise replaces as much of the tokens after `layer` as the match of image and text allows; the information
    that must stay is the saliency. For a token x, with lambda = sigmoid(alpha) for each token and channel:

    - bottleneck: z = lambda x + (1 - lambda) e, e standard normal;
    - capacity: KL(N(lambda x, (1 - lambda)^2) || N(0, 1))
      = ((lambda x)^2 + (1 - lambda)^2 - 1) / 2 - log(1 - lambda);
    - minimised over alpha by Adam: beta mean(capacity) - mean over noise samples of cos(text, image(z)).

    Args:
        layer: 0-based vision block after which the bottleneck sits.
        beta: weight of compression against relevance, >= 0; larger leaves less of the image.
        steps: forward passes; alpha is updated between them, so `steps - 1` times.
        lr: learning rate of Adam.
        noise_samples: noise drawings per image and step.
        initial_alpha: alpha at the start; 5 lets 99.3 % of the signal through.

    Raises:
        UserError: a number makes no sense.
    """

    needs: ClassVar[Offer | None] = "tokens"
    layer: int
    beta: float
    steps: int = 10
    lr: float = 1.0
    noise_samples: int = 10
    initial_alpha: float = 5.0

    def __post_init__(self) -> None:
        if self.steps < 2 or self.noise_samples < 1 or self.lr <= 0 or self.beta < 0:
            raise UserError(
                "saliency needs steps >= 2, noise_samples >= 1, lr > 0 and beta >= 0, but has "
                f"steps={self.steps}, noise_samples={self.noise_samples}, lr={self.lr}, beta={self.beta}."
            )

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance of each patch of each image to the image's own text.

        Images do not influence each other: each has its own alpha and noise, and objectives are summed.

        Args:
            clip: given back as it was (mode, weights, gradients).
            images: (B, 3, h, w), preprocessed.
            text_embedding: (B, D), any length; row i belongs to image i.
            generators: B generators; the i-th decides the noise of image i.

        Returns:
            (B, gh, gw) float32, nats summed over channels; >= 0, not normalised.
        """
        if not len(images) == len(text_embedding) == len(generators):
            raise ValueError("each image needs one text embedding and one generator")
        clip.require(self.needs, "M2IB")
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_prefix(images, self.layer)
            signal = tokens.float()
            alpha = torch.full_like(signal, self.initial_alpha, requires_grad=True)
            optimizer = torch.optim.Adam([alpha], lr=self.lr)
            # The map is read off the last forward pass; capacity depends on alpha alone, so no network runs.
            for _ in range(self.steps - 1):
                noise = draw_noise(generators, (self.noise_samples, *signal.shape[1:]), signal.device)
                alpha.grad = self._gradient(clip, alpha, tokens, text_embedding, noise)
                optimizer.step()
            relevance = capacity(alpha, signal).sum(dim=-1)[:, clip.prefix_tokens :]
            return relevance.unflatten(1, clip.grid)

    def _gradient(
        self, clip: ClipModel, alpha: Tensor, tokens: Tensor, text_embedding: Tensor, noise: Tensor
    ) -> Tensor:
        """Gradient (B, T, C) of the summed objectives with respect to alpha."""
        with torch.enable_grad():
            signal = tokens.float()
            kept = torch.sigmoid(alpha)[:, None]
            mixed = (kept * signal[:, None] + (1 - kept) * noise).flatten(0, 1)
            embedding = clip.vision_suffix(mixed.to(tokens.dtype), self.layer).float()
            fitting = cosine_similarity(
                text_embedding.float()[:, None], embedding.unflatten(0, (len(tokens), -1)), dim=-1
            ).mean(dim=1)
            compression = capacity(alpha, signal).mean(dim=(1, 2))
            return torch.autograd.grad((self.beta * compression - fitting).sum(), alpha)[0]


def capacity(alpha: Tensor, signal: Tensor) -> Tensor:
    """Information that passes the bottleneck, in nats, for each token and channel (B, T, C)."""
    kept = torch.sigmoid(alpha)
    return ((kept * signal).square() + (1 - kept).square() - 1) / 2 - logsigmoid(-alpha)


def draw_noise(
    generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device | str
) -> Tensor:
    """Standard normal noise (B, *shape) on `device`; the i-th generator alone decides row i."""
    rows = [torch.randn(shape, generator=g, device=g.device).to(device) for g in generators]
    return torch.stack(rows)
