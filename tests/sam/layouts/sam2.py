"""SAM 2.1's published checkpoints, written down from Meta's code (`Hiera`, `FpnNeck`) and its configurations."""

from dataclasses import dataclass
from itertools import pairwise

import timm
import torch

from tests.sam.layouts import Row, paired_layout


@dataclass(frozen=True)
class Hiera:
    """Of a configuration: `embed_dim`, `stages`, `window_pos_embed_bkg_spatial_size`."""

    width: int
    stages: tuple[int, ...]
    background: int


HIERA = {
    "tiny": Hiera(96, (1, 2, 7, 2), 7),
    "small": Hiera(96, (1, 2, 11, 2), 7),
    "base_plus": Hiera(112, (2, 3, 16, 3), 14),
    "large": Hiera(144, (2, 6, 36, 4), 7),
}
BYTES = {"tiny": 156008466, "small": 184416285, "base_plus": 323606802, "large": 898083611}
"""Of the published files, float32."""


def sam2_layout(hiera: Hiera) -> dict[str, Row]:
    """Shape and transformers' name by Meta's name."""
    return _heads() | _trunk(hiera) | _neck(hiera.width)


def edgetam_layout() -> dict[str, Row]:
    """The same of EdgeTAM, whose image encoder is timm's, by `TimmBackbone` of facebookresearch/EdgeTAM."""
    with torch.device("meta"):
        weights = timm.create_model("repvit_m1", features_only=True, out_indices=(0, 1, 2, 3)).state_dict()
    own, its = "image_encoder.trunk.body.", "vision_encoder.backbone.timm_model."
    trunk: dict[str, Row] = {
        f"{own}{name}": (tuple(value.shape), f"{its}{name}") for name, value in weights.items()
    }
    return _heads() | trunk | _neck(48) | {"spatial_perceiver.latents": ((256, 64), None)}


def _heads() -> dict[str, Row]:
    rows = paired_layout("sam2_heads") | paired_layout("sam2_video")
    for kind in range(4):  # four tables of one row, which transformers keeps in one
        rows[f"sam_prompt_encoder.point_embeddings.{kind}.weight"] = ((1, 256), None)
    return rows


def _trunk(hiera: Hiera) -> dict[str, Row]:
    own, its = "image_encoder.trunk.", "vision_encoder.backbone."
    rows: dict[str, Row] = {
        f"{own}pos_embed": ((1, hiera.width, *[hiera.background] * 2), f"{its}pos_embed"),
        f"{own}pos_embed_window": ((1, hiera.width, 8, 8), f"{its}pos_embed_window"),
        f"{own}patch_embed.proj.weight": ((hiera.width, 3, 7, 7), f"{its}patch_embed.projection.weight"),
        f"{own}patch_embed.proj.bias": ((hiera.width,), f"{its}patch_embed.projection.bias"),
    }
    widths = [hiera.width * 2**stage for stage, blocks in enumerate(hiera.stages) for _ in range(blocks)]
    for number, (before, after) in enumerate(pairwise([hiera.width, *widths])):
        layers = {
            ("norm1", "layer_norm1"): (before,),
            ("attn.qkv", "attn.qkv"): (3 * after, before),
            ("attn.proj", "attn.proj"): (after, after),
            ("norm2", "layer_norm2"): (after,),
            ("mlp.layers.0", "mlp.proj_in"): (4 * after, after),
            ("mlp.layers.1", "mlp.proj_out"): (after, 4 * after),
        }
        if before != after:
            layers["proj", "proj"] = (after, before)
        for (name, other), shape in layers.items():
            block, others = f"{own}blocks.{number}.{name}", f"{its}blocks.{number}.{other}"
            rows[f"{block}.weight"] = (shape, f"{others}.weight")
            rows[f"{block}.bias"] = (shape[:1], f"{others}.bias")
    return rows


def _neck(width: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for number in range(4):
        name, other = f"image_encoder.neck.convs.{number}.conv", f"vision_encoder.neck.convs.{number}"
        rows[f"{name}.weight"] = ((256, width * 2 ** (3 - number), 1, 1), f"{other}.weight")
        rows[f"{name}.bias"] = ((256,), f"{other}.bias")
    return rows
