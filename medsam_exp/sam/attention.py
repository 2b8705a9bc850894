"""The image encoder's attention without (tokens x tokens) matrices of weights: faster, and lean in memory.

Its tokens lie in memory as its layers read them: behind the convolution of patches, channels would come first, and each
sum and norm of each block would jump through memory.
"""

from functools import partial
from itertools import product

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, PatchEmbed, get_rel_pos
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from medsam_exp.runtime.native_bf16 import has_amx

BIAS_BYTES = 16 * 2**20
"""Position bias held at once in inference by each thread; larger blocks fall out of a CPU's cache (measured)."""
LONG = 1024
"""Tokens from which attention goes by its products where that is the faster way; windows are shorter."""
PRODUCT_QUERIES = 256
"""Of one head at once by its products: their scores stay in a processor's cache (measured)."""
QUERIES = 768
"""Of one head at once: torch's kernel works in its largest tiles from here on, a third faster (measured)."""


class FusedAttention(nn.Module):
    """What segment-anything's `Attention` computes, by torch's fused kernel.

    Decomposed relative positions are a sum of two biases, of the key's row and of its column. In half precision they
    are appended to the queries, and to the keys ones for their row and column: the kernel's own product then adds
    them, and no bias is made. In float32 that took 1.7 times longer on a CPU, as the kernel wants values as wide as
    keys (measured); there they are an additive bias, made for a few heads and rows of queries at a time, so that
    memory does not grow with the square of the tokens. On a CPU without AMX the kernel multiplies half precision
    slower than float32; there attention over a whole image goes by its products, 3 times as fast (measured, Zen 4).

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
        if q.element_size() > 2:
            attend = self._in_blocks
        elif gh * gw >= LONG and x.device.type == "cpu" and not has_amx():
            attend = _by_products
        else:
            attend = _with_positions_appended
        attended = attend(q, k, v, *self._position_bias(q, gh, gw))
        projected: Tensor = self.proj(attended.reshape(B, gh, gw, -1))
        return projected

    def _position_bias(self, q: Tensor, gh: int, gw: int) -> tuple[Tensor, Tensor]:
        """Bias of each query to each row (B, heads, gh, gw, gh) and each column (B, heads, gh, gw, gw)."""
        queries = q.unflatten(2, (gh, gw))
        bias_h = torch.einsum("bnhwc,hkc->bnhwk", queries, get_rel_pos(gh, gh, self.rel_pos_h))
        bias_w = torch.einsum("bnhwc,wkc->bnhwk", queries, get_rel_pos(gw, gw, self.rel_pos_w))
        return bias_h.contiguous(), bias_w.contiguous()

    def _in_blocks(self, q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
        """Attended values (B, tokens, heads, c) of queries, keys and values (B, heads, tokens, c) and their biases."""
        B, _, gh, gw, _ = bias_h.shape
        k, v = k.contiguous(), v.contiguous()
        attended = q.new_empty(B, gh * gw, self.num_heads, q.shape[-1])
        images, heads, rows = self._at_once(B, gh, gw, q.element_size())
        for image, head, top in product(
            range(0, B, images), range(0, self.num_heads, heads), range(0, gh, rows)
        ):
            some = slice(image, image + images), slice(head, head + heads)
            queries = slice(top * gw, (top + rows) * gw)
            block = *some, slice(top, top + rows)
            bias = (bias_h[block][..., None] + bias_w[block][..., None, :]).flatten(-2).flatten(2, 3)
            result = scaled_dot_product_attention(q[*some, queries], k[some], v[some], attn_mask=bias)
            attended[some[0], queries, some[1]] = result.transpose(1, 2)
        return attended

    def _at_once(self, images: int, gh: int, gw: int, element_size: int) -> tuple[int, int, int]:
        """Images, heads and rows of queries of one block; a head's rows depend on nothing but the grid."""
        if torch.is_grad_enabled():
            return images, self.num_heads, gh  # the backward pass keeps every block anyway
        row_bytes = gw * gh * gw * element_size
        rows = min(gh, -(-QUERIES // gw), max(1, BIAS_BYTES // row_bytes))
        heads = max(1, BIAS_BYTES * torch.get_num_threads() // (rows * row_bytes))
        return max(1, heads // self.num_heads), min(heads, self.num_heads), rows


def _with_positions_appended(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """As `_in_blocks`: [q, bias_h, bias_w] . [k, row, column], where row and column are one-hot."""
    B, heads, gh, gw, _ = bias_h.shape
    width, scale = q.shape[-1], q.shape[-1] ** -0.5
    one_hot = partial(torch.eye, dtype=q.dtype, device=q.device)
    row, column = one_hot(gh).repeat_interleave(gw, dim=0), one_hot(gw).repeat(gh, 1)
    queries = torch.cat([q, bias_h.flatten(2, 3) / scale, bias_w.flatten(2, 3) / scale], dim=-1)
    keys = torch.cat([k, torch.cat([row, column], dim=-1).expand(B, heads, -1, -1)], dim=-1)
    values = torch.cat([v, v.new_zeros(1).expand(B, heads, gh * gw, gh + gw)], dim=-1)
    return scaled_dot_product_attention(queries, keys, values, scale=scale)[..., :width].transpose(1, 2)


def _by_products(q: Tensor, k: Tensor, v: Tensor, bias_h: Tensor, bias_w: Tensor) -> Tensor:
    """As `_in_blocks`: each head's products in half precision, their bias and softmax in float32."""
    B, heads, gh, gw, _ = bias_h.shape
    q, rows = q * q.shape[-1] ** -0.5, -(-PRODUCT_QUERIES // gw)
    images = []
    for image in range(B):
        attended = []
        for head in range(heads):
            keys, values = k[image, head].t(), v[image, head].contiguous()
            parts = []
            for top in range(0, gh, rows):
                some = slice(top, top + rows)
                scores = (q[image, head, top * gw : (top + rows) * gw] @ keys).float().view(-1, gw, gh, gw)
                scores += bias_h[image, head, some, ..., None]
                scores += bias_w[image, head, some, :, None]
                parts.append(scores.flatten(2).softmax(-1).to(v.dtype).flatten(0, 1) @ values)
            attended.append(torch.cat(parts))
        images.append(torch.stack(attended, dim=1))
    return torch.stack(images)


class ContiguousPatches(nn.Module):
    """What segment-anything's `PatchEmbed` computes, (B, gh, gw, C) with the channels of a token side by side.

    Args:
        patches: gives its parameters over; their names stay.
    """

    def __init__(self, patches: PatchEmbed) -> None:
        super().__init__()
        self.proj = patches.proj

    def forward(self, images: Tensor) -> Tensor:
        """Embed the patches of images (B, 3, S, S)."""
        tokens: Tensor = self.proj(images)
        return tokens.permute(0, 2, 3, 1).contiguous()


def use_fused_attention(encoder: ImageEncoderViT) -> None:
    """Replace the attention of every block of an image encoder, in place; parameters and their names stay."""
    encoder.patch_embed = ContiguousPatches(encoder.patch_embed)
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn)
