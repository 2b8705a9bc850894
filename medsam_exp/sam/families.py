"""The SAM networks that can be chosen: how each is built, framed, and where its weights come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.framing import Framing, LongestSide, MedSamFraming, SamMed2dFraming
from medsam_exp.sam.sam_med2d import build_sam_med2d

_META = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True)
class Family:
    """One choice of architecture.

    Attributes:
        build: makes the network with random weights.
        framing: the way into its input frame.
        file: name of the published checkpoint.
        where_from: how to come by it, in the words of an error's advice.
    """

    build: Callable[[], Sam]
    framing: type[Framing]
    file: str
    where_from: str


def _get(name: str, by_hand: str) -> str:
    """Advice that names the catalogue's entry."""
    return f"`medsam-exp weights get {name}` fetches it; or {by_hand}"


def _meta(name: str, file: str) -> Family:
    return Family(sam_model_registry[name], LongestSide, file, _get(f"sam_{name}", f"download {_META}{file}"))


FAMILIES: Mapping[str, Family] = {
    "vit_b": _meta("vit_b", "sam_vit_b_01ec64.pth"),
    "vit_l": _meta("vit_l", "sam_vit_l_0b3195.pth"),
    "vit_h": _meta("vit_h", "sam_vit_h_4b8939.pth"),
    "medsam": Family(
        sam_model_registry["vit_b"],
        MedSamFraming,
        "medsam_vit_b.pth",
        _get("medsam", "download medsam_vit_b.pth from where https://github.com/bowang-lab/MedSAM points"),
    ),
    "sam_med2d": Family(
        build_sam_med2d,
        SamMed2dFraming,
        "sam-med2d_b.pth",
        _get(
            "sam_med2d", "download sam-med2d_b.pth from where https://github.com/OpenGVLab/SAM-Med2D points"
        ),
    ),
    "tiny": Family(build_tiny_sam, LongestSide, "tiny_sam.safetensors", "`make tiny-weights` makes it"),
}


def published_as(path: Path) -> str | None:
    """The architecture whose published file has this name; MedSAM's tensors look like those of vit_b."""
    return next((name for name, family in FAMILIES.items() if family.file == path.name), None)
