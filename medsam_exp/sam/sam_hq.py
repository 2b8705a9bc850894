"""SAM-HQ (Ke 2023, arXiv 2306.01567): SAM, whose decoder adds a mask of finer borders, by transformers' network.

The frozen SAM's parts are those of segment-anything; a further token and a fusion of early and late features of the
image encoder give a second mask, and the logits of both are added. Where the authors' code returns the best of three
proposals, transformers returns all three, best first.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from medsam_exp.sam.attention import FusedAttention
from medsam_exp.sam.framing import Framing
from medsam_exp.sam.huggingface_layout import (
    Rules,
    is_huggingface,
    published_names,
    to_huggingface,
    with_both_positions,
)
from medsam_exp.sam.transformers_model import TransformersModel, share_positions

_RULES: Rules = (
    (r"^mask_decoder\.hq_token\.", "mask_decoder.hf_token."),
    (r"^mask_decoder\.hq_mask_mlp\.", "mask_decoder.hf_mlp."),
    *(
        (rf"^mask_decoder\.{its}_{layer}\.", f"mask_decoder.{own}.{number}.")
        for its, own in (
            ("compress_vit", "compress_vit_feat"),
            ("encoder", "embedding_encoder"),
            ("mask", "embedding_maskfeature"),
        )
        for layer, number in (("conv1", 0), ("norm", 1), ("conv2", 3))
    ),
)


class SamHq(TransformersModel):
    """transformers' `SamHQModel`, its encoder with fused attention.

    An image's embedding is SAM's, and behind it as further channels the tokens after the first block of global
    attention, from which the decoder takes its finer borders.

    Args:
        sam: the network; its encoder's attention is replaced, in place.
        framing: of its family.
    """

    def __init__(self, sam: Any, framing: Framing) -> None:
        super().__init__(sam, framing)
        for layer in sam.vision_encoder.layers:
            layer.attn = _Attention(layer.attn)

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """(D + width of a token, g, g)."""
        vision = self.sam.config.vision_config
        grid = self.sam.prompt_encoder.image_embedding_size
        return vision.output_channels + vision.hidden_size, *grid

    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, C, g, g)."""
        encoded = self._encoded(images)
        tokens = encoded.intermediate_embeddings[0].permute(0, 3, 1, 2)
        return torch.cat([encoded.last_hidden_state, tokens], dim=1)

    def _image_of(self, embeddings: Tensor) -> dict[str, Any]:
        late = self.sam.config.vision_config.output_channels
        tokens = embeddings[:, late:].permute(0, 2, 3, 1)
        return {"image_embeddings": embeddings[:, :late], "intermediate_embeddings": [tokens]}


class _Attention(FusedAttention):
    """Takes the place of transformers' attention, which makes a matrix of all pairs of tokens."""

    def __init__(self, attention: Any) -> None:
        attention.num_heads = attention.num_attention_heads
        super().__init__(attention)

    def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, None]:  # type: ignore[override]
        """Attended tokens (B, gh, gw, C) of such, and no weights."""
        return super().forward(hidden_states), None


def sam_hq_names(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename the authors' weights to transformers' names, which stay; unknown names stay too.

    The authors' names are those of `mask_decoder_hq.py` of SysCV/sam-hq at commit 221aa31, checked as a table; the
    published files were not read.
    """
    if is_huggingface(weights):
        return with_both_positions(weights)
    return to_huggingface(weights, published_names(network.state_dict(), _RULES))


def build_sam_hq(
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    global_blocks: tuple[int, ...] = (2, 5, 8, 11),
    side: int = 1024,
    channels: int = 256,
    mlp_dim: int = 2048,
) -> nn.Module:
    """Build transformers' `SamHQModel` with random weights; the defaults are SAM's ViT-B.

    The decoder's layer norms have the epsilon that SAM was trained with, 1e-5; transformers' default is 1e-6.

    Args:
        width: of a token.
        depth: number of blocks.
        heads: attention heads of a block.
        global_blocks: 0-based blocks with global attention; the others attend within windows.
        side: S, in pixels.
        channels: D, of SAM's embedding.
        mlp_dim: width of the decoder's perceptrons.
    """
    from transformers import SamHQConfig, SamHQModel

    config = SamHQConfig(
        vision_config={
            "hidden_size": width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "global_attn_indexes": list(global_blocks),
            "image_size": side,
            "output_channels": channels,
            "num_pos_feats": channels // 2,
        },
        prompt_encoder_config={"hidden_size": channels, "image_size": side},
        mask_decoder_config={
            "hidden_size": channels,
            "iou_head_hidden_dim": channels,
            "mlp_dim": mlp_dim,
            "vit_dim": width,
            "layer_norm_eps": 1e-5,
        },
    )
    return share_positions(SamHQModel(config))
