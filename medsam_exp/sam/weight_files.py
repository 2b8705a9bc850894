"""The files that hold the weights of SAMs: how they are called when published, where from; torch is not imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from medsam_exp.types import UserError

RANDOM = "random"
"""In place of a checkpoint: random weights, for training from scratch."""
TINY_WEIGHTS = Path(str(files("medsam_exp"))) / "embedded" / "tiny_sam.safetensors"
_META = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True)
class Published:
    """The published weights of one architecture.

    Attributes:
        file: name of the checkpoint.
        where_from: how to come by it, in the words of an error's advice.
    """

    file: str
    where_from: str


def _get(name: str, by_hand: str) -> str:
    """Advice that names the catalogue's entry."""
    return f"`medsam-exp weights get {name}` fetches it; or {by_hand}"


def _meta(name: str, file: str) -> Published:
    return Published(file, _get(f"sam_{name}", f"download {_META}{file}"))


PUBLISHED: Mapping[str, Published] = {
    "vit_b": _meta("vit_b", "sam_vit_b_01ec64.pth"),
    "vit_l": _meta("vit_l", "sam_vit_l_0b3195.pth"),
    "vit_h": _meta("vit_h", "sam_vit_h_4b8939.pth"),
    "medsam": Published(
        "medsam_vit_b.pth",
        _get("medsam", "download medsam_vit_b.pth from where https://github.com/bowang-lab/MedSAM points"),
    ),
    "sam_med2d": Published(
        "sam-med2d_b.pth",
        _get(
            "sam_med2d", "download sam-med2d_b.pth from where https://github.com/OpenGVLab/SAM-Med2D points"
        ),
    ),
    "tiny": Published("tiny_sam.safetensors", "`make tiny-weights` makes it"),
}
"""By architecture; `medsam_exp.sam.families` builds each."""


def weight_files(architecture: str, checkpoint: str | None = None, seed: int = 0) -> list[Path]:  # noqa: ARG001
    """Local files that decide the weights of `load_sam` with the same arguments.

    Args:
        architecture: as of `load_sam`.
        checkpoint: as of `load_sam`.
        seed: as of `load_sam`; no file depends on it.

    Raises:
        UserError: no such architecture; the file is missing, with where to get it; or it has the name under
            which another architecture's weights are published.
    """
    if architecture not in PUBLISHED:
        raise UserError(f"sam.architecture={architecture} does not exist; there are {', '.join(PUBLISHED)}.")
    if checkpoint == RANDOM:
        return []
    if checkpoint is None and architecture != "tiny":
        raise UserError(f"sam.checkpoint is not set for {architecture}: {_where_from(architecture)}.")
    path = TINY_WEIGHTS if checkpoint is None else Path(checkpoint)
    if not path.is_file():
        raise UserError(f"sam.checkpoint={path} is not a file: {_where_from(architecture)}.")
    # MedSAM's tensors look like those of vit_b.
    named = next((name for name, published in PUBLISHED.items() if published.file == path.name), architecture)
    if named != architecture:
        raise UserError(
            f"sam.checkpoint={path} has the name of the published weights of {named}, not {architecture}: "
            f"choose sam={named}, or give the file another name if that is what you mean."
        )
    return [path]


def _where_from(architecture: str) -> str:
    advice = PUBLISHED[architecture].where_from
    if architecture == "tiny":
        return f"{advice}, and sam=tiny_scratch starts from random weights"
    return f"{advice} and let sam.checkpoint point at it (or MEDSAM_WEIGHTS at its folder)"
