"""SigLIP's vision tower (Zhai 2023, arXiv 2303.15343) of any size, known to timm by a name that holds the sizes.

timm's own SigLIPs are of a few sizes, and some have another GELU than transformers' `SiglipModel`.
"""

import re
from typing import Any

import timm
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

_NAME = re.compile(r"medsam_exp_siglip_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)")
_GRID = 16
"""Patches along each side before the network is brought to the size that its description says."""


def trunk_name(width: int, depth: int, heads: int, hidden: int, patch: int) -> str:
    """The name of a trunk, known to timm from then on.

    Args:
        width: channels of a token.
        depth: blocks.
        heads: of attention, in blocks and in the pooling.
        hidden: channels within the perceptrons.
        patch: side of a patch in pixels.
    """
    name = f"medsam_exp_siglip_{width}_{depth}_{heads}_{hidden}_{patch}"
    register_trunk(name)
    return name


def register_trunk(name: str) -> None:
    """Make such a name known to timm; other names are left."""
    match = _NAME.fullmatch(name)
    if match is None or timm.is_model(name):
        return
    width, depth, heads, hidden, patch = map(int, match.groups())

    def trunk(**_: Any) -> VisionTransformer:
        return VisionTransformer(
            img_size=_GRID * patch,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=hidden / width,
            num_classes=0,
            class_token=False,
            global_pool="map",
            act_layer="gelu_tanh",
        )

    trunk.__name__ = name
    register_model(trunk)
