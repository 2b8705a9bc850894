"""The image encoder's attention without (tokens x tokens) matrices of weights: faster, and lean in memory."""

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, get_rel_pos
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

BIAS_BYTES = 32 * 2**20
"""Position bias held at once in inference; larger blocks fall out of a CPU's cache (measured)."""


class FusedAttention(nn.Module):
    """What segment-anything's `Attention` computes, by torch's fused kernel, one block of queries at a time.

    The decomposed relative positions enter as an additive bias, made only for the block at work, so that
    memory does not grow with the square of the tokens. The alternative, positions appended to queries and
    keys, took 1.7 times longer for global attention on a CPU: the fused kernel wants values as wide as keys.

    Args:
        attention: gives its parameters over; their names stay, and so do the keys of a state dict.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w

    def forward(self, x: Tensor) -> Tensor:
        """Let all tokens of a window attend to each other.

        Args:
            x: (B, gh, gw, C) tokens of B windows, or of B whole images.

        Returns:
            (B, gh, gw, C).
        """
        B, gh, gw, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, gh * gw, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        bias_h, bias_w = self._position_bias(q, gh, gw)
        rows = self._rows_at_once(bias_h, gw)
        blocks = []
        for top in range(0, gh, rows):
            some = slice(top, top + rows)
            bias = bias_h[:, :, some, :, :, None] + bias_w[:, :, some, :, None, :]
            queries = q[:, :, top * gw : (top + rows) * gw]
            blocks.append(
                scaled_dot_product_attention(queries, k, v, attn_mask=bias.flatten(4).flatten(2, 3))
            )
        result: Tensor = self.proj(torch.cat(blocks, dim=2).transpose(1, 2).reshape(B, gh, gw, -1))
        return result

    def _position_bias(self, q: Tensor, gh: int, gw: int) -> tuple[Tensor, Tensor]:
        """Bias of each query to each row (B, heads, gh, gw, gh) and each column (B, heads, gh, gw, gw)."""
        queries = q.unflatten(2, (gh, gw))
        bias_h = torch.einsum("bnhwc,hkc->bnhwk", queries, get_rel_pos(gh, gh, self.rel_pos_h))
        bias_w = torch.einsum("bnhwc,wkc->bnhwk", queries, get_rel_pos(gw, gw, self.rel_pos_w))
        return bias_h.contiguous(), bias_w.contiguous()

    def _rows_at_once(self, bias_h: Tensor, gw: int) -> int:
        gh = bias_h.shape[2]
        if torch.is_grad_enabled():
            return gh  # the backward pass keeps every block anyway
        bytes_of_a_row = bias_h[:, :, 0].numel() * gw * bias_h.element_size()
        return min(gh, max(1, BIAS_BYTES // bytes_of_a_row))


def use_fused_attention(encoder: ImageEncoderViT) -> None:
    """Replace the attention of every block of an image encoder, in place; parameters and their names stay."""
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn)
