"""SAM 3's tracker (Carion 2025, arXiv 2511.16719) on single images, by transformers' network: boxes and points.

The heads are SAM 2's, the image encoder is that of SAM 3's detector of concepts. As in Meta's image predictor
(`sam1_task_predictor.py`), the vector that says that there is no memory is added to the coarsest level that is decoded.
transformers' `forward` adds it to a coarser one, which the published neck has and nothing reads; it is not built here.
Meta's predictor also fills holes of up to 256 pixels of a low-resolution mask; that is not done here.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from medsam_exp.sam.huggingface_layout import with_both_positions
from medsam_exp.sam.sam2 import feature_sizes, sam2_shaped
from medsam_exp.sam.sam2_layout import without_video

_PARTS = {
    "tracker_model.": "",
    "tracker_neck.": "vision_encoder.neck.",
    "detector_model.vision_encoder.backbone.": "vision_encoder.backbone.",
}
"""Where a file of the whole of SAM 3 keeps what the tracker needs."""
_LEFT = ("detector_model.", "vision_encoder.neck.fpn_layers.3.")
"""What reads texts and finds concepts; and the level that nothing reads."""


def sam3_names(weights: Mapping[str, Tensor], _: nn.Module) -> dict[str, Tensor]:
    """Take the tracker's weights out of those of all of SAM 3, by transformers' names; unknown names stay.

    The places are those of transformers' own conversion (`conversion_mapping.py`, version 5); the published file was
    not read.
    """
    own = {}
    for name, value in weights.items():
        part = next((part for part in _PARTS if name.startswith(part)), "")
        own[_PARTS.get(part, "") + name.removeprefix(part)] = value
    return with_both_positions(
        {name: value for name, value in without_video(own).items() if not name.startswith(_LEFT)}
    )


class _Rotation(nn.Module):
    """Rotary positions of a grid, once for all, in float32 whatever the encoder computes in.

    transformers keeps them as buffers outside the state dict: half precision would move them by a part of a cell, and a
    network that was built without memory would stay without them.

    Args:
        layer: of transformers' encoder.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        with torch.device("cpu"):
            places = layer.precompute_positions(layer.config, layer.window_size)
            rotary = type(layer.rotary_emb)(layer.config)
            self._waves: tuple[Tensor, ...] = rotary(places, places)

    def forward(self, tokens: Tensor, _: None) -> tuple[Tensor, ...]:
        """Cosines and sines (1, places, width of a head), on the device of the tokens."""
        if self._waves[0].device != tokens.device:
            self._waves = tuple(waves.to(tokens.device) for waves in self._waves)
        return self._waves


def build_sam3_tracker(
    *,
    width: int = 1024,
    hidden: int = 4736,
    depth: int = 32,
    heads: int = 16,
    global_blocks: tuple[int, ...] = (7, 15, 23, 31),
    window: int = 24,
    side: int = 1008,
    pretrained_side: int = 336,
    channels: int = 256,
    mlp_dim: int = 2048,
) -> nn.Module:
    """Build transformers' `Sam3TrackerModel` with random weights; the defaults are those of facebook/sam3.

    Args:
        width: of a token.
        hidden: width of the encoder's perceptrons.
        depth: number of blocks.
        heads: attention heads of a block.
        global_blocks: 0-based blocks with global attention; the others attend within windows.
        window: side of a window, in patches of 14 px.
        side: S, in pixels.
        pretrained_side: of the images whose position embedding is laid out like tiles.
        channels: D, of the coarse level.
        mlp_dim: width of the decoder's perceptrons.
    """
    from transformers import Sam3TrackerModel, Sam3VisionConfig, Sam3ViTConfig

    backbone = Sam3ViTConfig(
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        global_attn_indexes=list(global_blocks),
        window_size=window,
        image_size=side,
        pretrain_image_size=pretrained_side,
    )
    vision = Sam3VisionConfig(
        backbone_config=backbone,
        backbone_feature_sizes=feature_sizes(side, backbone.patch_size),
        fpn_hidden_size=channels,
        scale_factors=[4.0, 2.0, 1.0],
    )
    network: Any = sam2_shaped(
        Sam3TrackerModel, vision, side=side, patch=backbone.patch_size, channels=channels, mlp_dim=mlp_dim
    )
    for layer in network.vision_encoder.backbone.layers:
        layer.rotary_emb, layer.position_ids = _Rotation(layer), None
    whole: nn.Module = network
    return whole
