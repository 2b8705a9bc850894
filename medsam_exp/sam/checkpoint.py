"""Weights of SAM on disk: reading them whatever wrote them, and saying what does not fit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import safe_globals

from medsam_exp.types import UserError

_OF_CLIP = ("visual.", "text.transformer.", "vision_model.", "token_embedding.")
SHOWN = 3
"""Names shown of each kind of misfit."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, or from torch's own format without running code.

    A checkpoint of a training, with the state dict under "model", is read as well; its optimizer is left out.

    Returns:
        Tensors by name, float32 on the CPU.

    Raises:
        UserError: the file is no checkpoint, holds code, or holds something else than tensors.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not (isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())):
        raise UserError(
            f"sam.checkpoint={path} holds something else than tensors by name: take the published file, or "
            "save the network's state_dict() alone."
        )
    return {str(name): tensor.float() for name, tensor in content.items()}


def check_fit(
    state: Mapping[str, Tensor], wanted: nn.Module, architecture: str, path: Path, looks_like: Sequence[str]
) -> None:
    """Check that a state dict has exactly the names and shapes of a network.

    Args:
        state: tensors by name, as read.
        wanted: the network; only shapes are looked at.
        architecture: its name.
        path: where `state` was read.
        looks_like: other architectures that the file fits.

    Raises:
        UserError: it has not; with the first few names of each kind of misfit.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.state_dict().items()}
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
    if any(name.startswith(_OF_CLIP) for name in state):
        looks_like, choose = ["a CLIP"], "give it as clip.weights"
    else:
        choose = f"choose sam={' or sam='.join(looks_like)}"
    advice = (
        f"this looks like {' or '.join(looks_like)}, so {choose}"
        if looks_like
        else "point sam.checkpoint at a whole checkpoint of this architecture"
    )
    table = "".join(f"\n  {kind:>16}: {_first_few(names)}" for kind, names in rows.items() if names)
    raise UserError(f"sam.checkpoint={path} does not fit {architecture}; {advice}:{table}")


def share_that_fits(state: Mapping[str, Tensor], wanted: nn.Module) -> float:
    """Share in [0, 1] of names, over both sides, that a state dict and a network have in the same shape."""
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.state_dict().items()}
    fitting = sum(name in state and tuple(state[name].shape) == shape for name, shape in shapes.items())
    return fitting / len(shapes.keys() | state.keys())


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise UserError(
            f"sam.checkpoint={path} is not a whole safetensors file: download it again."
        ) from error


class _Ignored:
    """Takes the place of an optimizer in a file: SAM-Med2D's training saves its whole Adam beside the weights."""

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


def _plain_dict(_factory: object) -> dict[object, object]:
    """Takes the place of a defaultdict, which optimizers keep their state in."""
    return {}


_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Ignored, "torch.optim.adam.Adam"),
    (_Ignored, "torch.optim.adamw.AdamW"),
    (_plain_dict, "collections.defaultdict"),
    dict,
]


def _read_torch(path: Path) -> object:
    try:
        with safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise nearly anything
        raise UserError(
            f"sam.checkpoint={path} cannot be read as weights alone (no PyTorch checkpoint, cut short, or "
            "with objects that could run code): download it again, or save the network's state_dict() alone."
        ) from error


def _first_few(names: Iterable[str]) -> str:
    listed = list(names)
    more = ", ..." if len(listed) > SHOWN else ""
    return f"{len(listed)} ({', '.join(listed[:SHOWN])}{more})"
