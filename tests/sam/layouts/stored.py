"""What each published file holds, without its numbers."""

import functools

import torch

from medsam_exp.sam.families import FAMILIES
from tests.sam.layouts import published_layout, sam_hq_layout
from tests.sam.layouts.sam2 import HIERA, edgetam_layout, sam2_layout
from tests.sam.layouts.tiny_vit import lite_medsam_layout, mobile_sam_layout

State = dict[str, torch.Tensor]
ENCODERS = {
    "vit_b": "vit_b",
    "vit_l": "vit_l",
    "vit_h": "vit_h",
    "medsam": "vit_b",
    "medicosam": "vit_b",
    "sam_med2d": "sam_med2d",
}
SAM2 = {**{f"sam2_{size}": size for size in HIERA}, "medsam2": "tiny"}


TINY_VIT = {"mobile_sam": mobile_sam_layout, "lite_medsam": lite_medsam_layout}
SAM_HQ = {f"sam_hq_{size}": f"vit_{size}" for size in ("b", "l", "h")}


@functools.cache
def stored(name: str) -> State:
    """By the published table alone; tensors on the meta device have shapes and no memory."""
    if name in ("tiny", "sam3_tracker"):  # own; under transformers' names
        with torch.device("meta"):
            return FAMILIES[name].make().network.state_dict()
    if name in SAM2:
        shapes = {tensor: shape for tensor, (shape, _) in sam2_layout(HIERA[SAM2[name]]).items()}
    elif name == "edgetam":
        shapes = {tensor: shape for tensor, (shape, _) in edgetam_layout().items()}
    elif name in TINY_VIT:
        shapes = TINY_VIT[name]()
    elif name in SAM_HQ:
        shapes = sam_hq_layout(SAM_HQ[name])
    else:
        shapes = published_layout(ENCODERS[name])
    return {tensor: torch.empty(shape, device="meta") for tensor, shape in shapes.items()}
