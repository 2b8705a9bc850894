"""Promptable networks by name, from local files."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from medsam_exp.runtime.checkpoint.fit import StateDictDiff, network_kind, state_dict_diff
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.finite import refuse_broken_weights, refuse_unstorable
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.framing import PIXEL_MEAN, PIXEL_STD
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.sam.transformers_settings import refuse_other_settings
from medsam_exp.sam.weight_files import weight_files
from medsam_exp.types import UserError

_POSITIONS = "image_encoder.pos_embed"
_CONSTANTS = {"pixel_mean": PIXEL_MEAN, "pixel_std": PIXEL_STD}
"""What images are standardised with; some save it beside the weights."""


def load_sam(architecture: str, checkpoint: str | None = None, seed: int = 0) -> PromptableModel:
    """Build a promptable network with its weights, in float32 on the CPU, in evaluation mode.

    Args:
        architecture: of `medsam_exp.sam.families.FAMILIES`, such as vit_b, medsam, sam2_tiny or tiny.
        checkpoint: a file of weights, as `read_state_dict` takes it, by its publisher's names or by transformers'; or
            a folder that transformers wrote. float16 is raised to float32. None takes the weights in the package,
            which only tiny has. "random" draws them by the network's own initialisation, for training from scratch.
        seed: of random weights; without effect on others. The global generators stay as they are.

    Raises:
        UserError: no such architecture; the file is missing, is no checkpoint, does not fit, or is not finite.

    Example:
        >>> from medsam_exp import load_sam
        >>> load_sam("tiny").image_size
        256
    """
    paths = weight_files(architecture, checkpoint, seed)
    if not paths:
        return _random(architecture, seed).eval()
    state, family = read_state_dict(paths[0]), FAMILIES[architecture]
    model = _empty(architecture)
    for config in paths[1:]:
        refuse_other_settings(config, model.network, architecture)
    named = family.names(state, model.network)
    if diff := state_dict_diff(named, model.network):
        raise UserError(
            f"sam.checkpoint={paths[0]} does not fit {architecture} ({diff.summary()}); "
            f"{_advice(state, diff, architecture)}:{diff.table()}"
        )
    model.network.load_state_dict(named, assign=True)
    refuse_broken_weights(model.network.state_dict(), f"sam.architecture={architecture}", paths[0])
    return model.eval()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights of a promptable network from a file of any writer that `read_weights` knows.

    Returns:
        Tensors by the file's own names, float32 on the CPU.

    Raises:
        UserError: the file is no checkpoint, holds code, or was trained on images that are standardised otherwise.
    """
    named = f"sam.checkpoint={path}"
    state = read_weights(path, named)
    for name, used in _CONSTANTS.items():
        stored, expected = (each.flatten().tolist() for each in (state.pop(name, used), used))
        if any(abs(one - other) > 0.01 for one, other in zip(stored, expected, strict=False)):
            taken, expected = ([round(one, 3) for one in each] for each in (stored, expected))
            raise UserError(
                f"{named} was trained with {name}={taken}, but images are standardised with {expected} here; take "
                "weights trained with these."
            )
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def save_sam(model: PromptableModel, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a network's weights as safetensors under its own names (Meta's or transformers'), atomically.

    Args:
        model: the network.
        path: of the file; its folder is made if missing.
        dtype: of the stored weights.

    Raises:
        UserError: a weight is too large for `dtype`.
    """
    state = {
        name: tensor.cpu().to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()
        for name, tensor in model.network.state_dict().items()
    }
    refuse_unstorable(state, path)
    write_atomically(path, safetensors.torch.save(state, metadata={"format": "pt"}))


def _empty(architecture: str) -> PromptableModel:
    """The network without memory for its weights: nothing is drawn in vain."""
    with torch.device("meta"):
        return FAMILIES[architecture].make()


def _random(architecture: str, seed: int) -> PromptableModel:
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed the GPUs, which fork_rng does not restore here.
        torch.default_generator.manual_seed(derive_seed("random_sam", architecture, seed))
        return FAMILIES[architecture].make()


def _fits(state: Mapping[str, Tensor], architecture: str) -> bool:
    network = _empty(architecture).network
    return not state_dict_diff(FAMILIES[architecture].names(state, network), network)


def _advice(state: Mapping[str, Tensor], diff: StateDictDiff, architecture: str) -> str:
    """What to do with weights that do not fit an architecture."""
    if fitting := [name for name in FAMILIES if _fits(state, name)]:
        return f"this looks like {' or '.join(fitting)}, so choose sam={' or sam='.join(fitting)}"
    if network_kind(state) == "CLIP":
        return "this looks like a CLIP, so give it as clip.weights"
    held, wanted = diff.misshapen.get(_POSITIONS, ((), ()))
    if not diff.missing and len(held) == 4:
        grids = [f"{rows} x {columns}" for _, rows, columns, _ in (held, wanted)]
        return (
            f"it was trained on a grid of {grids[0]} patches, and {architecture} has {grids[1]}; take weights that "
            "were trained on images of this network's size, for positions are not interpolated"
        )
    return (
        diff.surplus_advice(architecture) or "point sam.checkpoint at a whole checkpoint of this architecture"
    )
