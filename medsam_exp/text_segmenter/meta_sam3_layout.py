"""SAM 3's weights under Meta's names, as facebook/sam3's sam3.pt and Medical SAM3's checkpoint hold them.

The two namings were compared by transformers' own conversion (models/sam3/convert_sam3_to_hf.py, transformers 5).
"""

import re
from collections.abc import Mapping

from torch import Tensor

_DETECTOR = "detector."
"""Before the names of the network that reads text, where the file also holds the video tracker."""
_LEFT = re.compile(r"tracker\.|inst_interactive_predictor\.|.*\.freqs_cis$|.*attn_mask$")
"""The video tracker, and tables that are computed when the network is built."""
_ATTENTION = {r"(\.|_)attn\.out_proj\.": r"\1attn.o_proj."}
_LAYER = {
    r"\.linear1\.": ".mlp.fc1.",
    r"\.linear2\.": ".mlp.fc2.",
    r"\.cross_attn_image\.": ".cross_attn.",
    **_ATTENTION,
    r"\.norm(\d)\.": r".layer_norm\1.",
}
_MLP = {r"\.layers\.0\.": ".layer1.", r"\.layers\.1\.": ".layer2.", r"\.layers\.2\.": ".layer3."}
_PARTS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "backbone.vision_backbone.trunk.",
        "vision_encoder.backbone.",
        {
            r"\.pos_embed$": ".embeddings.position_embeddings",
            r"\.patch_embed\.proj\.": ".embeddings.patch_embeddings.projection.",
            r"\.ln_pre\.": ".layer_norm.",
            r"\.blocks\.": ".layers.",
            r"\.norm(\d)\.": r".layer_norm\1.",
            r"\.attn\.proj\.": ".attention.o_proj.",
            r"\.attn\.qkv\.": ".attention.in_proj_",
        },
    ),
    (
        "backbone.vision_backbone.convs.",
        "vision_encoder.neck.fpn_layers.",
        {
            r"\.(?:dconv_2x2_0|dconv_2x2|maxpool_2x2)\.": ".scale_layers.0.",
            r"\.dconv_2x2_1\.": ".scale_layers.2.",
            r"\.conv_1x1\.": ".proj1.",
            r"\.conv_3x3\.": ".proj2.",
        },
    ),
    ("backbone.language_backbone.resizer.", "text_projection.", {}),
    (
        "backbone.language_backbone.encoder.",
        "text_encoder.text_model.",
        {
            r"\.text_model\.text_projection$": ".text_projection.weight",
            r"\.token_embedding\.": ".embeddings.token_embedding.",
            r"\.positional_embedding$": ".embeddings.position_embedding.weight",
            r"\.ln_final\.": ".final_layer_norm.",
            r"\.transformer\.resblocks\.": ".encoder.layers.",
            r"\.ln_(\d)\.": r".layer_norm\1.",
            r"\.attn\.": ".self_attn.",
            r"\.c_fc\.": ".fc1.",
            r"\.c_proj\.": ".fc2.",
        },
    ),
    (
        "geometry_encoder.",
        "geometry_encoder.",
        {
            r"\.img_pre_norm\.": ".vision_layer_norm.",
            r"\.encode_norm\.": ".output_layer_norm.",
            r"encoder\.norm\.": "encoder.prompt_layer_norm.",
            r"\.encode\.": ".layers.",
            **_LAYER,
            r"\.cross_attn\.out_proj\.": ".cross_attn.o_proj.",
        },
    ),
    (
        "transformer.encoder.",
        "detr_encoder.",
        {**_LAYER, r"\.cross_attn\.out_proj\.": ".cross_attn.o_proj."},
    ),
    (
        "transformer.decoder.",
        "detr_decoder.",
        {
            r"\.presence_token_head\.": ".presence_head.",
            r"\.presence_token_out_norm\.": ".presence_layer_norm.",
            r"\.bbox_embed\.": ".box_head.",
            r"\.instance_bbox_embed\.": ".instance_box_head.",
            r"\.boxRPB_embed_([xy])\.": r".box_rpb_embed_\1.",
            r"decoder\.norm\.": "decoder.output_layer_norm.",
            r"\.cross_attn\.": ".vision_cross_attn.",
            r"\.ca_text\.": ".text_cross_attn.",
            r"\.catext_norm\.": ".text_cross_attn_layer_norm.",
            r"\.norm1\.": ".vision_cross_attn_layer_norm.",
            r"\.norm2\.": ".self_attn_layer_norm.",
            r"\.norm3\.": ".mlp_layer_norm.",
            r"\.linear(\d)\.": r".mlp.fc\1.",
            **_ATTENTION,
            r"(head|_[xy])\.layers\.0\.": r"\1.layer1.",
            r"(head|_[xy])\.layers\.1\.": r"\1.layer2.",
            r"(head|_[xy])\.layers\.2\.": r"\1.layer3.",
        },
    ),
    (
        "dot_prod_scoring.",
        "dot_product_scoring.",
        {
            r"\.prompt_mlp\.out_norm\.": ".text_mlp_out_norm.",
            r"\.prompt_mlp\.": ".text_mlp.",
            r"\.prompt_proj\.": ".text_proj.",
            r"\.hs_proj\.": ".query_proj.",
            **_MLP,
        },
    ),
    (
        "segmentation_head.",
        "mask_decoder.",
        {
            r"\.mask_predictor\.mask_embed\.": ".mask_embedder.",
            r"\.mask_embed\.": ".mask_embedder.",
            r"\.instance_seg_head\.": ".instance_projection.",
            r"\.semantic_seg_head\.": ".semantic_projection.",
            r"\.cross_attend_prompt\.out_proj\.": ".prompt_cross_attn.o_proj.",
            r"\.cross_attend_prompt\.": ".prompt_cross_attn.",
            r"\.cross_attn_norm\.": ".prompt_cross_attn_norm.",
        },
    ),
)
"""Meta's prefix, transformers' prefix, and what is renamed behind it, in this order."""
_POSITIONS = "vision_encoder.backbone.embeddings.position_embeddings"
_PROJECTION = "text_encoder.text_projection.weight"


def from_meta(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by transformers' names; those that have them already are left as they are.

    Joint projections of queries, keys and values are split, the class token's place is dropped from the positions (no
    block reads it), and the text projection is turned.
    """
    if not any(name.removeprefix(_DETECTOR).startswith("backbone.") for name in state):
        return dict(state)
    found: dict[str, Tensor] = {}
    for meta_name, tensor in state.items():
        name = meta_name.removeprefix(_DETECTOR)
        if _LEFT.match(name):
            continue
        name = _renamed(name)
        if joint := re.fullmatch(r"(.*\.)in_proj_(weight|bias)", name):
            for part, values in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{joint[1]}{part}_proj.{joint[2]}"] = values
        elif name == _POSITIONS:
            found[name] = tensor[:, 1:]
        else:
            found[name] = tensor.T if name == _PROJECTION else tensor
    return found


def _renamed(name: str) -> str:
    for meta, own, words in _PARTS:
        if name.startswith(meta):
            name = own + name.removeprefix(meta)
            for pattern, replacement in words.items():
                name = re.sub(pattern, replacement, name)
            return name
    return name
