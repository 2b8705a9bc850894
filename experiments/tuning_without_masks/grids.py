"""The sweeps of the study: which settings are compared on which images."""

from collections.abc import Mapping
from pathlib import Path

COMMON = (
    "stages=[saliency,coarse_mask,sam_mask,text_match,agreement,stability,evaluate]",
    "text_match=cut_out,in_place",
    "report_cases=0",
    "report_images=0",
)
M2IB = ("saliency=m2ib", "saliency.beta=0.1,0.3,1.0,2.0", "saliency.layer=2,3,4")
METHODS = (
    "saliency=legrad_patch_text,patch_text,sclip,gem,clip_surgery,grad_eclip,dense_gradient,winclip,gradient_rollout,"
    "intensity",
)
LATER: Mapping[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    M2IB: (
        ("postprocess=kmeans", "prompt=box,points"),
        ("postprocess=threshold", "postprocess.value=0.3,0.6", "prompt=box"),
    ),
    METHODS: (
        ("postprocess=kmeans", "prompt=box"),
        ("postprocess=threshold", "postprocess.value=0.3,0.6", "prompt=box"),
    ),
}
"""Further axes; each a sweep of its own, as only a threshold has a value."""
DEFAULTS: Mapping[tuple[str, ...], Mapping[str, str]] = {
    M2IB: {"saliency.beta": "1.0", "saliency.layer": "3", "postprocess": "kmeans", "prompt": "box"},
    METHODS: {"saliency": "legrad_patch_text", "postprocess": "kmeans", "prompt": "box"},
}
"""What choices are compared with: the released beta, as nobody without masks knows a better one, and the saliency of
docs/own-networks.md."""
TUNED: Mapping[tuple[str, ...], Mapping[str, str]] = {
    M2IB: {"saliency.beta": "0.3", "saliency.layer": "3", "postprocess": "kmeans", "prompt": "box"},
}
"""What the masks of other drawn scans have chosen (conf/tuned/network)."""


def drawn(modality: str) -> tuple[str, ...]:
    """Options of a run over drawn scans of one kind."""
    return ("+experiment=phantom_zeroshot", "data.count=20", f"data.modalities=[{modality}]")


def breast(root: Path, sam: Path | None = None) -> tuple[str, ...]:
    """Options of a run over real breast scans with the embedded networks, which know drawn scans alone.

    Args:
        root: holds test_images and test_masks.
        sam: weights of a SAM that learnt from other breast scans, in the place of the embedded one.
    """
    return (
        "name=breast",
        "data=folder",
        f"data.root={root}",
        "data.name=breast",
        "data.split=test",
        "text=free",
        "text.text=breast ultrasound with a tumor",
        "clip=tiny",
        "sam=tiny",
        *(() if sam is None else (f"sam.checkpoint={sam}",)),
    )


Grid = tuple[tuple[str, ...], tuple[str, ...]]
"""Options of the images, and axes."""
DRAWN: Mapping[str, Grid] = {
    "drawn ultrasound, numbers of M2IB": (drawn("ultrasound"), M2IB),
    "drawn MRI, saliency methods": (drawn("mri"), METHODS),
    "drawn ultrasound, saliency methods": (drawn("ultrasound"), METHODS),
}
REAL = "real breast ultrasound, saliency methods"
OWN_SAM = "real breast ultrasound, own SAM, saliency methods"
