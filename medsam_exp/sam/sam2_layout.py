"""SAM 2's weights as Meta publishes them, and its kin's, under the names of transformers' networks.

Meta's names are those of its code at commit 2b90b9f (`sam2_base.py`, `hieradet.py`, `mask_decoder.py`). That each has
its place was checked on a table of them, which adds up to the sizes of the published files; the files were not read.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from medsam_exp.sam.huggingface_layout import Rules, published_names, to_huggingface, with_both_positions

_RULES: Rules = (
    (r"^vision_encoder\.backbone\.timm_model\.", "image_encoder.trunk.body."),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"^(image_encoder\.trunk\.patch_embed)\.projection\.", r"\1.proj."),
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
    (r"\.o_proj\.", ".out_proj."),
    (r"^no_memory_embedding$", "no_mem_embed"),
)
_OF_VIDEOS = (
    "mask_downsample.", "memory_attention.", "memory_encoder.", "spatial_perceiver.",
    # Meta's own
    "maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial", "obj_ptr_proj.", "obj_ptr_tpos_proj.",
    # transformers'
    "memory_temporal_positional_encoding", "no_memory_positional_encoding", "no_object_pointer",
    "occlusion_spatial_embedding_parameter", "object_pointer_proj.", "temporal_positional_encoding_projection_layer.",
)  # fmt: skip
"""What only videos need: memory of earlier frames, pointers to objects, the mask of an object that is hidden."""
_POINTS = "sam_prompt_encoder.point_embeddings."


def sam2_names(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename Meta's or transformers' weights to the names of a network like `Sam2Model`; unknown names stay.

    Args:
        weights: by the names of their file.
        network: tells the names.
    """
    weights = without_video(weights)
    if not any(name.startswith("sam_mask_decoder.") for name in weights):
        return with_both_positions(weights)
    published = {
        name: re.sub(r"^(prompt_encoder|mask_decoder)\.", r"sam_\1.", own)
        for name, own in published_names(network.state_dict(), _RULES).items()
    }
    return to_huggingface(_with_one_point_table(weights), published)


def without_video(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a single image needs."""
    return {name: value for name, value in weights.items() if not name.startswith(_OF_VIDEOS)}


def _with_one_point_table(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Meta keeps a table of one row for each kind of point, transformers one of four rows."""
    names = [f"{_POINTS}{kind}.weight" for kind in range(4)]
    if any(name not in weights for name in names):
        return dict(weights)
    others = {name: value for name, value in weights.items() if name not in names}
    return {**others, f"{_POINTS}weight": torch.cat([weights[name] for name in names])}
