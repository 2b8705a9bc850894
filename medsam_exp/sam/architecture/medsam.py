"""MedSAM (Ma 2024): SAM's ViT-B trained on medical images and boxes."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "medsam": Published(
        "medsam_vit_b.pth",
        get("medsam", "download medsam_vit_b.pth from where https://github.com/bowang-lab/MedSAM points"),
    )
}


def families() -> "dict[str, Family]":
    """Meta's network in MedSAM's framing."""
    from segment_anything import sam_model_registry

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import MedSamFraming

    return {"medsam": Family(sam_model_registry["vit_b"], MedSamFraming)}
