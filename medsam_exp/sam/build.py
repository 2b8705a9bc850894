"""segment-anything's network for images of 256 pixels a side, with random weights; and the embedded small one."""

from functools import partial

from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

IMAGE_SIZE = 256
PATCH_SIZE = 16


def build_encoder(
    *,
    embed_dim: int,
    depth: int,
    num_heads: int,
    window_size: int,
    global_attn_indexes: tuple[int, ...],
    out_chans: int,
) -> ImageEncoderViT:
    """Build the image encoder; arguments as segment-anything's, patches of 16 px."""
    return ImageEncoderViT(
        img_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window_size,
        global_attn_indexes=global_attn_indexes,
        out_chans=out_chans,
    )


def build_around(
    encoder: nn.Module,
    *,
    channels: int,
    num_heads: int,
    mlp_dim: int,
    side: int = IMAGE_SIZE,
    grid: int = IMAGE_SIZE // PATCH_SIZE,
) -> Sam:
    """Build the prompt encoder and the mask decoder for an image encoder.

    Args:
        encoder: of `build_encoder`, or another one with its `img_size`.
        channels: of the image embedding.
        num_heads: attention heads of the decoder.
        mlp_dim: width of the decoder's MLPs.
        side: of the images, in pixels.
        grid: side of the image embedding.
    """
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(side, side),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=channels,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=channels, num_heads=num_heads, mlp_dim=mlp_dim
            ),
            iou_head_hidden_dim=channels,
        ),
    )


def build_tiny_sam() -> Sam:
    """Build the embedded small SAM with random weights: 3.0 M parameters, 16 x 16 grid, 64 x 64 masks.

    Patches of 16 px because it must train on two CPU cores: patches of 8 px (128 x 128 masks) cost three to
    four times the seconds a step (measured), so that in the same time it would see a quarter of the images.
    """
    encoder = build_encoder(
        embed_dim=160, depth=6, num_heads=5, window_size=8, global_attn_indexes=(2, 5), out_chans=128
    )
    return build_around(encoder, channels=128, num_heads=4, mlp_dim=512)
