"""LiteMedSAM (Ma 2024, LiteMedSAM branch of bowang-lab/MedSAM): MedSAM with a TinyViT at 256 px."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "lite_medsam": Published(
        "lite_medsam.pth",
        get(
            "lite_medsam",
            "download lite_medsam.pth from where https://github.com/bowang-lab/MedSAM/tree/LiteMedSAM points",
        ),
    )
}


def families() -> "dict[str, Family]":
    """TinyViT without its first two reductions: each pixel is a cell of its first stage."""
    from functools import partial

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LiteMedSamFraming
    from medsam_exp.sam.tiny_vit import build_tiny_vit_sam, tiny_vit_names

    build = partial(build_tiny_vit_sam, side=256, stem=1)
    return {"lite_medsam": Family(build, LiteMedSamFraming, names=tiny_vit_names)}
