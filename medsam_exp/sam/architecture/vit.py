"""Segment Anything (Kirillov 2023), with image encoders of three sizes."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

_FROM = "https://dl.fbaipublicfiles.com/segment_anything"
_FILES = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
PUBLISHED = {
    name: Published(file, get(f"sam_{name}", f"download {_FROM}/{file}")) for name, file in _FILES.items()
}


def families() -> "dict[str, Family]":
    """Meta's networks in Meta's framing."""
    from segment_anything import sam_model_registry

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LongestSide

    return {name: Family(sam_model_registry[name], LongestSide) for name in PUBLISHED}
