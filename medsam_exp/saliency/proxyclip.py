"""ProxyCLIP: in the last block patches attend to those that another network finds alike (Lan 2024)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.dense import DenseMethod
from medsam_exp.types import UserError

Proxy = Callable[[Tensor, tuple[int, int]], Tensor]
"""Images (B, 3, h, w) in [0, 1] and a grid (gh, gw) to features (B, gh, gw, C)."""


@dataclass(frozen=True)
class ProxyCLIP(DenseMethod):
    """Cosine of text and patches after proxy attention in the last block (ProxyCLIP, arXiv 2408.04883).

    With s_pq the cosine of the proxy's features of patches p and q, and m its mean over all pairs, the attention of p
    to q gives way to softmax over the q with s_pq > beta m of gamma (s_pq - beta m). What is attended to is projected;
    residual path and MLP of the block are left out. The authors bring CLIP's values to the proxy's grid; here the
    proxy's image is brought to CLIP's grid. They slide a window of 336 pixels by 112 over larger images; here the whole
    image is seen at once. Tokens before the patches attend to themselves.

    Args:
        proxy: a network that tells like from unlike patches.
        beta: share of the mean cosine that a pair must exceed.
        gamma: sharpness, > 0.

    Raises:
        UserError: a number makes no sense.
    """

    proxy: Proxy
    beta: float = 1.2
    gamma: float = 3.0

    def __post_init__(self) -> None:
        if self.gamma <= 0 or self.beta < 0:
            raise UserError(
                f"saliency.gamma={self.gamma} must be above 0, and saliency.beta={self.beta} at least 0."
            )

    def tokens(self, clip: ClipModel, images: Tensor) -> Tensor:
        """See `DenseMethod`."""
        block, before = clip.block(clip.depth - 1), clip.prefix_tokens
        _, _, value = block.queries_keys_values(clip.vision_entering(images, clip.depth - 1))
        with torch.autocast(
            images.device.type, enabled=False
        ):  # rounding would move cosines over the threshold
            attention = self.attention(self._seen(clip, images), clip.grid)
        mixed = attention.to(value)[:, None] @ value[:, :, before:]
        return block.attended(torch.cat([value[:, :, :before], mixed], dim=2))

    def attention(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attention (B, gh * gw, gh * gw) float32 of images (B, 3, h, w) in [0, 1]; each row sums to 1."""
        features = normalize(self.proxy(pixels, grid).flatten(1, 2), dim=-1)
        cosines = features @ features.mT
        above = cosines - self.beta * cosines.mean((1, 2), keepdim=True)
        itself = torch.eye(above.shape[1], dtype=torch.bool, device=above.device)
        kept = (above > 0) | itself  # where the mean is near 1, a patch has at least itself
        return (self.gamma * above).where(kept, -torch.inf).softmax(dim=-1)

    def _seen(self, clip: ClipModel, images: Tensor) -> Tensor:
        """Images as they were before standardising, (B, 3, h, w) in [0, 1]."""
        mean, std = (
            torch.tensor(each, device=images.device)[:, None, None]
            for each in (clip.preprocess.mean, clip.preprocess.std)
        )
        return (images.float() * std + mean).clamp(0, 1)
