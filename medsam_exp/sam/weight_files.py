"""The files that hold the weights of SAMs: how they are called when published, where from; torch is not imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from medsam_exp.types import UserError

RANDOM = "random"
"""In place of a checkpoint: random weights, for training from scratch."""
TINY_WEIGHTS = Path(str(files("medsam_exp"))) / "embedded" / "tiny_sam.safetensors"
_META = "https://dl.fbaipublicfiles.com/segment_anything"
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls weights in a folder of its own."""


@dataclass(frozen=True)
class Published:
    """The published weights of one architecture.

    Attributes:
        file: name of the checkpoint.
        where_from: how to come by it, in the words of an error's advice.
        others: names of further files of the same architecture.
    """

    file: str
    where_from: str
    others: tuple[str, ...] = ()


def _get(name: str, by_hand: str) -> str:
    """Advice that names the catalogue's entry."""
    return f"`medsam-exp weights get {name}` fetches it; or {by_hand}"


def _meta(name: str, file: str) -> Published:
    return Published(file, _get(f"sam_{name}", f"download {_META}/{file}"))


def _sam2(size: str) -> Published:
    file = f"sam2.1_hiera_{size}.pt"
    return Published(file, _get(f"sam2_{size}", f"download {_META}_2/092824/{file}"))


def _sam_hq(size: str) -> Published:
    file = f"sam_hq_vit_{size}.pth"
    return Published(
        file, _get(f"sam_hq_{size}", f"download {file} from https://huggingface.co/lkeab/hq-sam")
    )


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
    **{f"sam2_{size}": _sam2(size) for size in ("tiny", "small", "base_plus", "large")},
    **{f"sam_hq_{size}": _sam_hq(size) for size in ("b", "l", "h")},
    "medsam2": Published(
        "MedSAM2_latest.pt",
        _get("medsam2", "download MedSAM2_latest.pt from https://huggingface.co/wanglab/MedSAM2"),
        others=(
            "MedSAM2_2411.pt",
            "MedSAM2_US_Heart.pt",
            "MedSAM2_MRI_LiverLesion.pt",
            "MedSAM2_CTLesion.pt",
        ),
    ),
    "edgetam": Published(
        "edgetam.pt",
        _get("edgetam", "download checkpoints/edgetam.pt of https://github.com/facebookresearch/EdgeTAM"),
    ),
    "sam3_tracker": Published(
        "sam3",
        "ask for access at https://huggingface.co/facebook/sam3, download its config.json and model.safetensors",
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
    # MedSAM's tensors look like those of vit_b.
    named = next(
        (name for name, known in PUBLISHED.items() if path.name in (known.file, *known.others)), architecture
    )
    if named != architecture and path.is_file():
        raise UserError(
            f"sam.checkpoint={path} has the name of the published weights of {named}, not {architecture}: "
            f"choose sam={named}, or give the file another name if that is what you mean."
        )
    if path.is_dir():
        return _files_in(path)
    if not path.is_file():
        raise UserError(f"sam.checkpoint={path} is not a file: {_where_from(architecture)}.")
    return [path]


def _files_in(folder: Path) -> list[Path]:
    """The weights in a folder of transformers, and the description of their network where it is there."""
    weights = [folder / name for name in _IN_FOLDER if (folder / name).is_file()][:1]
    if not weights:
        raise UserError(
            f"sam.checkpoint={folder} is a folder without {' or '.join(_IN_FOLDER)}: name the file of weights in it."
        )
    return weights + [path for path in (folder / "config.json",) if path.is_file()]


def _where_from(architecture: str) -> str:
    advice = PUBLISHED[architecture].where_from
    if architecture == "tiny":
        return f"{advice}, and sam=tiny_scratch starts from random weights"
    return f"{advice} and let sam.checkpoint point at it (or MEDSAM_WEIGHTS at its folder)"
