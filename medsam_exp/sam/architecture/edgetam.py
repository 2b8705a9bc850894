"""EdgeTAM (Zhou 2025): SAM 2 with a small convolutional image encoder."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "edgetam": Published(
        "edgetam.pt",
        get("edgetam", "download checkpoints/edgetam.pt of https://github.com/facebookresearch/EdgeTAM"),
    )
}


def families() -> "dict[str, Family]":
    """Transformers' network on timm's image encoder."""
    from medsam_exp.sam.edgetam import build_edgetam
    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import Sam2Framing
    from medsam_exp.sam.sam2 import Sam2
    from medsam_exp.sam.sam2_layout import sam2_names

    return {"edgetam": Family(build_edgetam, Sam2Framing, Sam2, sam2_names)}
