"""Let a CLIP see images of another size than it was trained with: positional embeddings are interpolated.

Bicubic with antialiasing and without aligned corners, as open_clip's `resize_pos_embed` and timm's
`resample_abs_pos_embed` (https://github.com/mlfoundations/open_clip, https://github.com/huggingface/pytorch-image-models);
what is before the patches (CLS and its like) stays.
"""

from typing import Any

from open_clip.model import resize_pos_embed
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.layers import PatchEmbed
from torch import nn

from medsam_exp.clip.towers import is_splittable
from medsam_exp.types import UserError


def set_image_size(network: nn.Module, size: int) -> None:
    """Change a network's vision tower in place to square images of another size.

    Args:
        network: open_clip's, with its weights.
        size: pixels of each side.

    Raises:
        UserError: the tower has no grid of patches with positional embeddings, or its patches do not fill the image.
    """
    visual: Any = network.visual
    trunk: Any = getattr(visual, "trunk", None)
    if not isinstance(visual, VisionTransformer) and not has_plain_grid(trunk):
        raise UserError(
            f"clip.image_size={size}, but clip.model has a vision tower of kind {type(trunk or visual).__name__} "
            "without a plain grid of patches whose positional embeddings could be interpolated; leave it null."
        )
    patch = visual.patch_size if trunk is None else trunk.patch_embed.patch_size
    if size < 1 or any(size % side for side in patch):
        raise UserError(
            f"clip.image_size={size}, but patches of {patch[0]} x {patch[1]} pixels do not fill such an image; take "
            f"a multiple, such as {max(1, round(size / patch[0])) * patch[0]}."
        )
    if trunk is None:
        _set_open_clips(network, visual, size)
    else:
        set_timm_size(visual, (size, size))


def has_plain_grid(trunk: Any) -> bool:
    """Whether a timm network cuts images into patches and adds positional embeddings to them, as ViT does."""
    return is_splittable(trunk) and type(trunk.patch_embed) is PatchEmbed and trunk.pos_embed is not None


def set_timm_size(visual: TimmModel, size: tuple[int, int]) -> None:
    """Change a timm vision transformer in place; one that interpolates by itself keeps its weights."""
    trunk: Any = visual.trunk
    visual.image_size = size
    if not trunk.dynamic_img_size:
        trunk.set_input_size(size)


def _set_open_clips(network: nn.Module, visual: Any, size: int) -> None:
    visual.image_size = (size, size)
    visual.grid_size = (size // visual.patch_size[0], size // visual.patch_size[1])
    weights = {"visual.positional_embedding": visual.positional_embedding.detach()}
    resize_pos_embed(weights, network)
    frozen = not visual.positional_embedding.requires_grad  # of sines and cosines
    visual.positional_embedding = nn.Parameter(
        weights["visual.positional_embedding"], requires_grad=not frozen
    )
