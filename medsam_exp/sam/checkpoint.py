"""Weights of SAM on disk: under segment-anything's names whatever wrote them, and what does not fit, in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.sam.framing import PIXEL_MEAN, PIXEL_STD
from medsam_exp.sam.huggingface_layout import from_huggingface, is_huggingface
from medsam_exp.types import UserError

_OF_CLIP = ("visual.", "text.transformer.", "text_model.", "vision_model.", "token_embedding.")
_OF_SAM = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
_OF_SAM_HQ = ("mask_decoder.hf_token.", "mask_decoder.hf_mlp.")
_POSITIONS = "image_encoder.pos_embed"
_CONSTANTS = {"pixel_mean": PIXEL_MEAN, "pixel_std": PIXEL_STD}
"""What images are standardised with; some save it beside the weights."""
SHOWN = 3
"""Names shown of each kind of misfit."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights of a SAM from a file of any writer that `read_weights` knows, or of transformers' `SamModel`.

    Returns:
        Tensors by segment-anything's names, float32 on the CPU.

    Raises:
        UserError: the file is no checkpoint, holds code, or was trained on images that are standardised otherwise.
    """
    named = f"sam.checkpoint={path}"
    state = read_weights(path, named)
    if is_huggingface(state):
        state = from_huggingface(state)
    return {name: tensor.float() for name, tensor in _without_constants(state, named).items()}


def check_fit(
    state: Mapping[str, Tensor], wanted: nn.Module, architecture: str, path: Path, looks_like: Sequence[str]
) -> None:
    """Check that a state dict has exactly the names and shapes of a network.

    Args:
        state: tensors by name, as read.
        wanted: the network; only shapes are looked at.
        architecture: its name.
        path: where `state` was read.
        looks_like: other architectures that the file fits exactly.

    Raises:
        UserError: it has not; with the first few names of each kind of misfit.
    """
    shapes = shapes_of(wanted)
    rows = {
        "missing": [name for name in shapes if name not in state],
        "unexpected": [name for name in state if name not in shapes],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} instead of {shape}"
            for name, shape in shapes.items()
            if name in state and tuple(state[name].shape) != shape
        ],
    }
    if not any(rows.values()):
        return
    advice = _advice(state, shapes, architecture, looks_like)
    table = "".join(f"\n  {kind:>16}: {_first_few(names)}" for kind, names in rows.items() if names)
    raise UserError(f"sam.checkpoint={path} does not fit {architecture}; {advice}:{table}")


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of each of a network's tensors, by name."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _advice(
    state: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    architecture: str,
    looks_like: Sequence[str],
) -> str:
    if looks_like:
        return f"this looks like {' or '.join(looks_like)}, so choose sam={' or sam='.join(looks_like)}"
    if any(name.startswith(_OF_CLIP) for name in state) and not any(n.startswith(_OF_SAM) for n in state):
        return "this looks like a CLIP, so give it as clip.weights"
    if any(name.startswith(_OF_SAM_HQ) for name in state):
        return (
            "this looks like SAM-HQ, whose decoder has parts that no SAM here has; take weights without them"
        )
    missing = [name for name in shapes if name not in state]
    misshapen = {name for name, shape in shapes.items() if name in state and state[name].shape != shape}
    if _POSITIONS in misshapen and not missing and state[_POSITIONS].ndim == 4:
        grids = [
            f"{rows} x {columns}" for rows, columns in (state[_POSITIONS].shape[1:3], shapes[_POSITIONS][1:3])
        ]
        return (
            f"it was trained on a grid of {grids[0]} patches, and {architecture} has {grids[1]}; take weights that "
            "were trained on images of this network's size, for positions are not interpolated"
        )
    if not missing and not misshapen:
        return (
            f"all that {architecture} needs is there, and more; where that is no part of the network, save its "
            "state_dict() alone"
        )
    return "point sam.checkpoint at a whole checkpoint of this architecture"


def _without_constants(state: Mapping[str, Tensor], named: str) -> dict[str, Tensor]:
    for name, used in _CONSTANTS.items():
        stored = state[name].flatten().tolist() if name in state else None
        expected = used.flatten().tolist()
        if stored is not None and any(abs(a - b) > 0.01 for a, b in zip(stored, expected, strict=False)):
            raise UserError(
                f"{named} was trained with {name}={[round(value, 3) for value in stored]}, but images are "
                f"standardised with {[round(value, 3) for value in expected]} here; take weights trained with these."
            )
    return {name: tensor for name, tensor in state.items() if name not in _CONSTANTS}


def _first_few(names: Iterable[str]) -> str:
    listed = list(names)
    more = ", ..." if len(listed) > SHOWN else ""
    return f"{len(listed)} ({', '.join(listed[:SHOWN])}{more})"
