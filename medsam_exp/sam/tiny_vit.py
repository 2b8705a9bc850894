"""TinyViT (Wu 2022, arXiv 2207.10666) as the image encoder of small SAMs, with timm's blocks.

It keeps the grid of the third of its four stages to the end, and SAM's neck follows. As MobileSAM's authors publish it
(Zhang 2023, arXiv 2306.14289).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from segment_anything.modeling import Sam
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from medsam_exp.sam.build import build_around
from medsam_exp.sam.family import metas_names

_RULES = tuple(
    (re.compile(pattern), own)
    for pattern, own in (
        (r"^image_encoder\.(patch_embed|layers)\.", r"image_encoder.trunk.\1."),
        (r"\.patch_embed\.seq\.0\.", ".patch_embed.conv1."),
        (r"\.patch_embed\.seq\.2\.", ".patch_embed.conv2."),
        (r"\.trunk\.layers\.", ".trunk.stages."),
        (r"\.c\.weight$", ".conv.weight"),
    )
)
"""A pattern in the publisher's name, and what stands there in ours; later rules see what earlier ones left."""
_DOWNSAMPLE = re.compile(r"\.stages\.(\d+)\.downsample\.")
_CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
"""What told classes of images apart; nothing reads it."""


class TinyVitEncoder(nn.Module):
    """Images to embeddings.

    Args:
        side: S, in pixels.
        widths: channels of the four stages.
        depths: blocks of the four stages.
        heads: attention heads of the four stages; the first one has none.
        windows: side of each stage's windows, in cells; the first one has none.
        channels: of the embedding.
        stem: pixels to a cell of the first stage in each direction: 4 for a stem of two convolutions of stride 2, 1
            for one of 1 x 1 convolutions.

    Attributes:
        img_size: S.
        grid: g, of the embedding: a fourth of the first stage's.
    """

    def __init__(
        self,
        side: int,
        *,
        widths: tuple[int, ...] = (64, 128, 160, 320),
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (2, 4, 5, 10),
        windows: tuple[int, ...] = (7, 7, 14, 7),
        channels: int = 256,
        stem: int = 4,
    ) -> None:
        from timm.models.tiny_vit import ConvNorm, TinyVit

        super().__init__()
        self.img_size, self.grid, self.channels = side, side // (4 * stem), channels
        trunk: Any = TinyVit(
            num_classes=0,
            embed_dims=widths,
            depths=depths,
            num_heads=heads,
            window_sizes=windows,
            drop_path_rate=0.0,
        )
        del trunk.head
        if stem == 1:
            trunk.patch_embed.conv1 = ConvNorm(3, widths[0] // 2)
            trunk.patch_embed.conv2 = ConvNorm(widths[0] // 2, widths[0])
        trunk.stages[-1].downsample.conv2.conv.stride = (1, 1)
        for stage, window in zip(trunk.stages[1:], windows[1:], strict=True):
            for block in stage.blocks:
                block.attn = WindowAttention(block.attn, window)
        self.trunk = trunk
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], channels, 1, bias=False),
            LayerNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            LayerNorm2d(channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S); returns (B, channels, g, g)."""
        embeddings: Tensor = self.neck(self.trunk.forward_features(images))
        return embeddings


class WindowAttention(nn.Module):
    """What timm's `Attention` computes; its biases follow the weights at once, whatever happens to these.

    timm keeps a copy of them by place, and the places outside the state dict: one grows old, the others a network that
    was built without memory would not have.

    Args:
        attention: gives its parameters over; their names stay.
        window: side of a window, in cells.
    """

    def __init__(self, attention: Any, window: int) -> None:
        super().__init__()
        self.num_heads, self.window = attention.num_heads, window
        self.norm, self.qkv, self.proj = attention.norm, attention.qkv, attention.proj
        self.attention_biases = attention.attention_biases

    def forward(self, x: Tensor) -> Tensor:
        """Let the tokens of a window (B, window^2, C) attend to each other, row by row; returns the same shape."""
        B, N, C = x.shape
        q, k, v = self.qkv(self.norm(x)).view(B, N, self.num_heads, 3, -1).permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self._places(x.device)]
        attended = scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(B, N, C))
        return projected

    def _places(self, device: torch.device) -> Tensor:
        """Which bias (N, N) goes with each two cells: one for each distance in rows and in columns, unsigned."""
        cells = torch.arange(self.window, device=device)
        apart = (cells[:, None] - cells).abs()
        rows, columns = apart[:, None, :, None], apart[None, :, None, :]
        return (rows * self.window + columns).flatten(2).flatten(0, 1)


def build_tiny_vit_sam(side: int, *, num_heads: int = 8, mlp_dim: int = 2048, **encoder: Any) -> Sam:
    """Build the whole network with random weights; the defaults are MobileSAM's.

    Args:
        side: S, in pixels.
        num_heads: attention heads of the decoder.
        mlp_dim: width of the decoder's perceptrons.
        encoder: further arguments of `TinyVitEncoder`.
    """
    image_encoder = TinyVitEncoder(side, **encoder)
    return build_around(
        image_encoder,
        side=side,
        grid=image_encoder.grid,
        channels=image_encoder.channels,
        num_heads=num_heads,
        mlp_dim=mlp_dim,
    )


def tiny_vit_names(weights: Mapping[str, Tensor], network: Any) -> dict[str, Tensor]:
    """Rename weights of a TinyViT and SAM's decoder, by their publisher's names or ours, to ours; unknown ones stay.

    Args:
        weights: by the names of their file.
        network: of `build_tiny_vit_sam`.
    """
    read = {name: value for name, value in weights.items() if not name.startswith(_CLASSIFIER)}
    return metas_names({_own(name): value for name, value in read.items()}, network)


def _own(name: str) -> str:
    if not name.startswith(("image_encoder.patch_embed.seq.", "image_encoder.layers.")):
        return name
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    # timm counts what leads from a stage to the next to the latter.
    return _DOWNSAMPLE.sub(lambda found: f".stages.{int(found[1]) + 1}.downsample.", name)
