"""MedSAM2 (Ma 2025): SAM 2.1's Hiera-T trained on medical images at 512 px."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "medsam2": Published(
        "MedSAM2_latest.pt",
        get("medsam2", "download MedSAM2_latest.pt from https://huggingface.co/wanglab/MedSAM2"),
        others=(
            "MedSAM2_2411.pt",
            "MedSAM2_US_Heart.pt",
            "MedSAM2_MRI_LiverLesion.pt",
            "MedSAM2_CTLesion.pt",
        ),
    )
}


def families() -> "dict[str, Family]":
    """SAM 2's network at 512 px."""
    from functools import partial

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import MedSam2Framing
    from medsam_exp.sam.sam2 import Sam2, build_sam2
    from medsam_exp.sam.sam2_layout import sam2_names

    return {"medsam2": Family(partial(build_sam2, side=512), MedSam2Framing, Sam2, sam2_names)}
