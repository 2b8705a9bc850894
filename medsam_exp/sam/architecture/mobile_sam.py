"""MobileSAM (Zhang 2023, arXiv 2306.14289): SAM's decoder behind a TinyViT that was taught ViT-H's embeddings."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "mobile_sam": Published(
        "mobile_sam.pt",
        get("mobile_sam", "download weights/mobile_sam.pt of https://github.com/ChaoningZhang/MobileSAM"),
    )
}


def families() -> "dict[str, Family]":
    """TinyViT at 1024 px in Meta's framing."""
    from functools import partial

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LongestSide
    from medsam_exp.sam.tiny_vit import build_tiny_vit_sam, tiny_vit_names

    return {"mobile_sam": Family(partial(build_tiny_vit_sam, side=1024), LongestSide, names=tiny_vit_names)}
