"""SAM networks by name, from local files."""

from importlib.resources import files
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.finite import refuse_broken_weights, refuse_unstorable
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.sam.checkpoint import check_fit, read_state_dict, shapes_of
from medsam_exp.sam.families import FAMILIES, published_as
from medsam_exp.sam.model import SamModel
from medsam_exp.types import UserError

RANDOM = "random"
"""In place of a checkpoint: random weights, for training from scratch."""
TINY_WEIGHTS = Path(str(files("medsam_exp"))) / "embedded" / "tiny_sam.safetensors"


def load_sam(architecture: str, checkpoint: str | None = None, seed: int = 0) -> SamModel:
    """Build a SAM network with its weights, in float32 on the CPU, in evaluation mode.

    Args:
        architecture: vit_b, vit_l, vit_h, medsam, sam_med2d or tiny.
        checkpoint: a file of weights, as `read_state_dict` takes it; float16 is raised to float32. None takes the
            weights in the package, which only tiny has. "random" draws them by segment-anything's own
            initialisation, for training from scratch.
        seed: of random weights; without effect on others. The global generators stay as they are.

    Raises:
        UserError: no such architecture; the file is missing, is no checkpoint, does not fit, or is not finite.
    """
    paths = weight_files(architecture, checkpoint, seed)
    if not paths:
        return _random(architecture, seed).eval()
    state = read_state_dict(paths[0])
    model = _empty(architecture)
    check_fit(state, model, architecture, paths[0], looks_like=_other_architectures(state, architecture))
    model.load_state_dict(state, assign=True)
    refuse_broken_weights(model.state_dict(), f"sam.architecture={architecture}", paths[0])
    return model.eval()


def weight_files(architecture: str, checkpoint: str | None = None, seed: int = 0) -> list[Path]:  # noqa: ARG001
    """Local files that decide the weights of `load_sam` with the same arguments.

    Raises:
        UserError: no such architecture; the file is missing, with where to get it; or it has the name under
            which another architecture's weights are published.
    """
    if architecture not in FAMILIES:
        raise UserError(f"sam.architecture={architecture} does not exist; there are {', '.join(FAMILIES)}.")
    if checkpoint == RANDOM:
        return []
    if checkpoint is None and architecture != "tiny":
        raise UserError(f"sam.checkpoint is not set for {architecture}: {_where_from(architecture)}.")
    path = TINY_WEIGHTS if checkpoint is None else Path(checkpoint)
    if not path.is_file():
        raise UserError(f"sam.checkpoint={path} is not a file: {_where_from(architecture)}.")
    named = published_as(path)
    if named not in (None, architecture):
        raise UserError(
            f"sam.checkpoint={path} has the name of the published weights of {named}, not {architecture}: "
            f"choose sam={named}, or give the file another name if that is what you mean."
        )
    return [path]


def save_sam(model: SamModel, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a network's weights as safetensors under Meta's names; a reader sees the whole file or none.

    Raises:
        UserError: a weight is too large for `dtype`.
    """
    state = {name: tensor.cpu().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    refuse_unstorable(state, path)
    write_atomically(path, safetensors.torch.save(state, metadata={"format": "pt"}))


def _build(architecture: str) -> SamModel:
    sam = FAMILIES[architecture].build()
    return SamModel(sam, FAMILIES[architecture].framing(sam.image_encoder.img_size))


def _empty(architecture: str) -> SamModel:
    """The network without memory for its weights: nothing is drawn in vain."""
    with torch.device("meta"):
        return _build(architecture)


def _random(architecture: str, seed: int) -> SamModel:
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the GPUs, which fork_rng does not restore here.
        torch.default_generator.manual_seed(derive_seed("random_sam", architecture, seed))
        return _build(architecture)


def _other_architectures(state: dict[str, Tensor], architecture: str) -> list[str]:
    """The other architectures that a state dict fits exactly, where it does not fit this one."""
    held = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if held == shapes_of(_empty(architecture)):
        return []
    return [name for name in FAMILIES if name != architecture and held == shapes_of(_empty(name))]


def _where_from(architecture: str) -> str:
    family = FAMILIES[architecture]
    if architecture == "tiny":
        return f"{family.where_from}, and sam=tiny_scratch starts from random weights"
    return f"{family.where_from} and let sam.checkpoint point at it (or MEDSAM_WEIGHTS at its folder)"
