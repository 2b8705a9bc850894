"""SAM 3's tracker (Carion 2025) on single images."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {
    "sam3_tracker": Published(
        "sam3",
        "ask for access at https://huggingface.co/facebook/sam3, download its config.json and model.safetensors",
    )
}


def families() -> "dict[str, Family]":
    """Transformers' network."""
    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import Sam3Framing
    from medsam_exp.sam.sam2 import Sam2
    from medsam_exp.sam.sam3_tracker import build_sam3_tracker, sam3_names

    return {"sam3_tracker": Family(build_sam3_tracker, Sam3Framing, Sam2, sam3_names)}
