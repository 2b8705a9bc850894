"""The embedded small SAM: segment-anything's classes with fewer channels and blocks."""

from functools import partial

from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

IMAGE_SIZE = 256
PATCH_SIZE = 16
PROMPT_DIM = 128


def build_tiny_sam() -> Sam:
    """Build the small SAM with random weights: 3.0 M parameters, 256 px input, 16 x 16 grid, 64 x 64 masks.

    Patches of 16 px because it must train on two CPU cores: patches of 8 px (128 x 128 masks) cost three to
    four times the seconds a step (measured), so that in the same time it would see a quarter of the images.
    """
    grid = IMAGE_SIZE // PATCH_SIZE
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=IMAGE_SIZE,
            patch_size=PATCH_SIZE,
            embed_dim=160,
            depth=6,
            num_heads=5,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=8,
            global_attn_indexes=(2, 5),
            out_chans=PROMPT_DIM,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=PROMPT_DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=PROMPT_DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=PROMPT_DIM, num_heads=4, mlp_dim=512),
            iou_head_hidden_dim=PROMPT_DIM,
        ),
    )
