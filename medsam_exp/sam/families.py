"""The SAM networks that can be chosen: how each is built and framed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.framing import Framing, LongestSide, MedSamFraming, SamMed2dFraming
from medsam_exp.sam.sam_med2d import build_sam_med2d


@dataclass(frozen=True)
class Family:
    """One choice of architecture.

    Attributes:
        build: makes the network with random weights.
        framing: the way into its input frame.
    """

    build: Callable[[], Sam]
    framing: type[Framing]


def _meta(name: str) -> Family:
    return Family(sam_model_registry[name], LongestSide)


FAMILIES: Mapping[str, Family] = {
    "vit_b": _meta("vit_b"),
    "vit_l": _meta("vit_l"),
    "vit_h": _meta("vit_h"),
    "medsam": Family(sam_model_registry["vit_b"], MedSamFraming),
    "sam_med2d": Family(build_sam_med2d, SamMed2dFraming),
    "tiny": Family(build_tiny_sam, LongestSide),
}
