"""The tiny CLIP's vision tower: a small vision transformer behind a convolutional stem, known to timm by name.

Two things let it learn within minutes of CPU time, where open_clip's own tower did not get past telling kinds of
scan apart: a stem of small convolutions (Xiao et al. 2021, "Early convolutions help transformers see better"), and
the maximum over tokens instead of a class token, so that a lesion of a few patches is not averaged away.
"""

from functools import partial
from typing import Any

from timm.layers import GroupNorm, HybridEmbed
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import nn

TINY_TRUNK = "medsam_exp_tiny_vit"
"""The name under which open_clip's configuration asks timm for it."""


@register_model  # type: ignore[untyped-decorator]
def medsam_exp_tiny_vit(img_size: int = 96, **_: Any) -> VisionTransformer:
    """A 6-layer, 128-channel transformer over 8 x 8 px patches of a square image, 1.3 M parameters.

    Args:
        img_size: side of the input in pixels.
    """
    stem = ConvStem(
        channels=(24, 48, 96), norm_layer=partial(GroupNorm, num_groups=4), act_layer=nn.GELU, padding=1
    )
    trunk = VisionTransformer(
        img_size=img_size,
        patch_size=1,  # of the stem's feature map, which has one cell per 8 x 8 pixels
        embed_dim=128,
        depth=6,
        num_heads=2,
        num_classes=0,
        global_pool="max",
        fc_norm=False,
        class_token=False,
        embed_layer=partial(HybridEmbed, backbone=stem),
    )
    trunk.default_cfg = {"input_size": (3, img_size, img_size)}  # open_clip asks every timm model for one
    return trunk
