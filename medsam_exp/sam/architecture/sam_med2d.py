"""SAM-Med2D (Cheng 2023): SAM's ViT-B at 256 px with an adapter in each block."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "sam_med2d": Published(
        "sam-med2d_b.pth",
        get("sam_med2d", "download sam-med2d_b.pth from where https://github.com/OpenGVLab/SAM-Med2D points"),
    )
}


def families() -> "dict[str, Family]":
    """segment-anything's network with adapters."""
    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import SamMed2dFraming
    from medsam_exp.sam.sam_med2d import build_sam_med2d

    return {"sam_med2d": Family(build_sam_med2d, SamMed2dFraming)}
