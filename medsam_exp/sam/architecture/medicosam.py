"""MedicoSAM (Archit 2025, arXiv 2501.11734): SAM's ViT-B trained on medical images, with boxes, points and masks."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "medicosam": Published(
        "vit_b_medicosam.pt",
        get(
            "medicosam",
            "download vit_b_medicosam.pt from where https://github.com/computational-cell-analytics/medico-sam points",
        ),
        others=("vit_b_medical_imaging",),
    )
}


def families() -> "dict[str, Family]":
    """Meta's network in Meta's framing."""
    from segment_anything import sam_model_registry

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LongestSide

    return {"medicosam": Family(sam_model_registry["vit_b"], LongestSide)}
