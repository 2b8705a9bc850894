"""The embedded small SAM."""

from typing import TYPE_CHECKING

from medsam_exp.sam.published import Published

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

PUBLISHED = {"tiny": Published("tiny_sam.safetensors", "`make tiny-weights` makes it")}


def families() -> "dict[str, Family]":
    """segment-anything's network, narrow."""
    from medsam_exp.sam.build import build_tiny_sam
    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LongestSide

    return {"tiny": Family(build_tiny_sam, LongestSide)}
