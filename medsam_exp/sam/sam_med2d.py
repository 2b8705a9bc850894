"""SAM-Med2D (Cheng 2023): SAM's ViT-B at 256 px with an adapter in each block."""

from segment_anything.modeling import Sam
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
from torch import Tensor, nn

from medsam_exp.sam.build import build_around, build_encoder


class Adapter(nn.Module):
    """What was trained on medical images: channels are weighted, then looked at in their neighbourhood.

    The names of its parameters are those of the published checkpoint.

    Args:
        dim: C, the width of a token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.channel = nn.Sequential(
            nn.Linear(dim, dim // 4, bias=False),
            nn.ReLU(),
            nn.Linear(dim // 4, dim, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(dim, dim, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, g, g, C) of tokens (B, g, g, C); g is even, for it is halved and doubled again."""
        weighted = self.channel(x.mean((1, 2)))[:, None, None] * x
        neighbourhood = self.spatial(weighted.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        result: Tensor = self.norm(x + neighbourhood)
        return result


class AdaptedBlock(nn.Module):
    """A block of SAM's image encoder with an adapter beside its MLP: both see the same normalised tokens.

    Args:
        block: gives its parts over; their names stay.
        dim: C, the width of a token.
    """

    def __init__(self, block: Block, dim: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp
        self.window_size = block.window_size
        self.Adapter = Adapter(dim)  # the checkpoint's spelling

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, g, g, C) of tokens (B, g, g, C)."""
        x = x + self._attend(self.norm1(x))
        normalised = self.norm2(x)
        result: Tensor = x + self.mlp(normalised) + self.Adapter(normalised)
        return result

    def _attend(self, x: Tensor) -> Tensor:
        result: Tensor
        if self.window_size == 0:
            result = self.attn(x)
            return result
        windows, padded = window_partition(x, self.window_size)
        result = window_unpartition(self.attn(windows), self.window_size, padded, (x.shape[1], x.shape[2]))
        return result


def build_sam_med2d(
    *,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11),
) -> Sam:
    """Build the network with random weights; the defaults are ViT-B, as published (others are for tests).

    Args:
        embed_dim: C, the width of a token.
        depth: number of blocks.
        num_heads: attention heads of a block.
        global_attn_indexes: 0-based blocks with global attention; the others attend within windows.
    """
    encoder = build_encoder(
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        window_size=14,
        global_attn_indexes=global_attn_indexes,
        out_chans=256,
    )
    encoder.blocks = nn.ModuleList(AdaptedBlock(block, embed_dim) for block in encoder.blocks)
    return build_around(encoder, channels=256, num_heads=8, mlp_dim=2048)
