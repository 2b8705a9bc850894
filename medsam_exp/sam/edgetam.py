"""EdgeTAM (Zhou 2025, arXiv 2501.07256): SAM 2 with a small convolutional image encoder, by transformers' network."""

from torch import nn

from medsam_exp.sam.sam2 import feature_sizes, sam2_shaped


def build_edgetam(*, side: int = 1024, channels: int = 256, mlp_dim: int = 2048) -> nn.Module:
    """Build transformers' `EdgeTamModel` with random weights, on timm's RepViT-M1 as published.

    Args:
        side: S, in pixels, a multiple of 32.
        channels: D, of the coarse level.
        mlp_dim: width of the decoder's perceptrons.
    """
    from transformers import EdgeTamModel, EdgeTamVisionConfig, TimmWrapperConfig

    levels = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    vision = EdgeTamVisionConfig(
        backbone_config=TimmWrapperConfig(architecture="repvit_m1", model_args=levels),
        backbone_channel_list=[384, 192, 96, 48],
        backbone_feature_sizes=feature_sizes(side, 16),
        fpn_hidden_size=channels,
    )
    return sam2_shaped(EdgeTamModel, vision, side=side, patch=16, channels=channels, mlp_dim=mlp_dim)
