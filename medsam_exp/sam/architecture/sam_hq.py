"""SAM-HQ (Ke 2023), with image encoders of three sizes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

_FILES = {f"sam_hq_{size}": f"sam_hq_vit_{size}.pth" for size in ("b", "l", "h")}
PUBLISHED = {
    name: Published(file, get(name, f"download {file} from https://huggingface.co/lkeab/hq-sam"))
    for name, file in _FILES.items()
}


def families() -> "dict[str, Family]":
    """Transformers' networks."""
    from functools import partial

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import LongestSide
    from medsam_exp.sam.sam_hq import SamHq, build_sam_hq, sam_hq_names

    builders: dict[str, Callable[[], Any]] = {
        "sam_hq_b": build_sam_hq,
        "sam_hq_l": partial(build_sam_hq, width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
        "sam_hq_h": partial(build_sam_hq, width=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31)),
    }
    return {name: Family(build, LongestSide, SamHq, sam_hq_names) for name, build in builders.items()}
