"""The promptable networks that can be chosen: how each is built, framed and read from files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from segment_anything import sam_model_registry
from torch import Tensor

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.edgetam import build_edgetam
from medsam_exp.sam.framing import (
    Framing,
    LongestSide,
    MedSam2Framing,
    MedSamFraming,
    Sam2Framing,
    Sam3Framing,
    SamMed2dFraming,
)
from medsam_exp.sam.huggingface_layout import from_huggingface, is_huggingface
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.sam.sam2 import Sam2, build_sam2
from medsam_exp.sam.sam2_layout import sam2_names
from medsam_exp.sam.sam3_tracker import build_sam3_tracker, sam3_names
from medsam_exp.sam.sam_hq import SamHq, build_sam_hq, sam_hq_names
from medsam_exp.sam.sam_med2d import build_sam_med2d

Weights = Mapping[str, Tensor]


def _metas_names(weights: Weights, _: Any) -> dict[str, Tensor]:
    """segment-anything's names, of transformers' too."""
    return from_huggingface(weights) if is_huggingface(weights) else dict(weights)


@dataclass(frozen=True)
class Family:
    """One choice of architecture.

    Attributes:
        build: makes the network with random weights.
        framing: the way into its input frame.
        model: what asks it.
        names: (weights by the names of their file, network) to weights by the network's names; unknown ones stay.
    """

    build: Callable[[], Any]
    framing: type[Framing]
    model: type[PromptableModel] = SamModel
    names: Callable[[Weights, Any], dict[str, Tensor]] = _metas_names

    def make(self, network: Any = None) -> PromptableModel:
        """The whole model, with random weights, or with a network that was built elsewhere."""
        network = self.build() if network is None else network
        wrap: Callable[[Any, Framing], PromptableModel] = self.model
        return wrap(network, self.framing(self.model.side_of(network)))


def _meta(name: str) -> Family:
    return Family(sam_model_registry[name], LongestSide)


def _sam2(build: Callable[[], Any], framing: type[Framing] = Sam2Framing) -> Family:
    return Family(build, framing, Sam2, sam2_names)


def _sam_hq(build: Callable[[], Any]) -> Family:
    return Family(build, LongestSide, SamHq, sam_hq_names)


FAMILIES: Mapping[str, Family] = {
    "vit_b": _meta("vit_b"),
    "vit_l": _meta("vit_l"),
    "vit_h": _meta("vit_h"),
    "medsam": Family(sam_model_registry["vit_b"], MedSamFraming),
    "sam_med2d": Family(build_sam_med2d, SamMed2dFraming),
    "tiny": Family(build_tiny_sam, LongestSide),
    "sam2_tiny": _sam2(build_sam2),
    "sam2_small": _sam2(partial(build_sam2, blocks=(1, 2, 11, 2), global_blocks=(7, 10, 13))),
    "sam2_base_plus": _sam2(
        partial(
            build_sam2, width=112, heads=2, blocks=(2, 3, 16, 3), global_blocks=(12, 16, 20), background=14
        )
    ),
    "sam2_large": _sam2(
        partial(
            build_sam2,
            width=144,
            heads=2,
            blocks=(2, 6, 36, 4),
            global_blocks=(23, 33, 43),
            windows=(8, 4, 16, 8),
        )
    ),
    "sam_hq_b": _sam_hq(build_sam_hq),
    "sam_hq_l": _sam_hq(partial(build_sam_hq, width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23))),
    "sam_hq_h": _sam_hq(partial(build_sam_hq, width=1280, depth=32, heads=16, global_blocks=(7, 15, 23, 31))),
    "medsam2": _sam2(partial(build_sam2, side=512), MedSam2Framing),
    "edgetam": _sam2(build_edgetam),
    "sam3_tracker": Family(build_sam3_tracker, Sam3Framing, Sam2, sam3_names),
}
