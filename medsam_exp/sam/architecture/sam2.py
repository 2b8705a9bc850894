"""SAM 2.1 (Ravi 2024), with image encoders of four sizes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from medsam_exp.sam.published import Published, get

if TYPE_CHECKING:
    from medsam_exp.sam.family import Family

_FROM = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
_FILES = {f"sam2_{size}": f"sam2.1_hiera_{size}.pt" for size in ("tiny", "small", "base_plus", "large")}
PUBLISHED = {name: Published(file, get(name, f"download {_FROM}/{file}")) for name, file in _FILES.items()}


def families() -> "dict[str, Family]":
    """Transformers' networks by Meta's configurations."""
    from functools import partial

    from medsam_exp.sam.family import Family
    from medsam_exp.sam.framing import Sam2Framing
    from medsam_exp.sam.sam2 import Sam2, build_sam2
    from medsam_exp.sam.sam2_layout import sam2_names

    builders: dict[str, Callable[[], Any]] = {
        "sam2_tiny": build_sam2,
        "sam2_small": partial(build_sam2, blocks=(1, 2, 11, 2), global_blocks=(7, 10, 13)),
        "sam2_base_plus": partial(
            build_sam2, width=112, heads=2, blocks=(2, 3, 16, 3), global_blocks=(12, 16, 20), background=14
        ),
        "sam2_large": partial(
            build_sam2,
            width=144,
            heads=2,
            blocks=(2, 6, 36, 4),
            global_blocks=(23, 33, 43),
            windows=(8, 4, 16, 8),
        ),
    }
    return {name: Family(build, Sam2Framing, Sam2, sam2_names) for name, build in builders.items()}
