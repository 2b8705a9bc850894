"""Read a file of CLIP weights and put it into a network, or say in one sentence why it does not fit."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from medsam_exp.types import UserError

_SHOWN = 3
_POSITION_IDS = "text.transformer.embeddings.position_ids"  # constants that older transformers saved


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors, a state dict, or a training checkpoint of open_clip.

    Raises:
        UserError: the file is damaged or holds something other than tensors.
    """
    try:
        content: Any
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UserError(
            f"the weights in {path} cannot be read; is the file complete, and is it a CLIP?"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"{path} holds no table of weights; give a state dict or a training checkpoint of open_clip."
        )
    distributed = all(key.startswith("module.") for key in state)
    return {key.removeprefix("module.") if distributed else key: value for key, value in state.items()}


def put_weights(network: nn.Module, weights: dict[str, Tensor], path: Path, model: str) -> None:
    """Copy weights into a network; half precision is widened to the network's own.

    Raises:
        UserError: names or shapes differ; lists the first few.
    """
    weights = _adapted(network, weights)
    own = network.state_dict()
    missing = sorted(own.keys() - weights.keys())
    unexpected = sorted(weights.keys() - own.keys())
    misshaped = [
        f"{key} (network {tuple(own[key].shape)}, file {tuple(weights[key].shape)})"
        for key in sorted(own.keys() & weights.keys())
        if own[key].shape != weights[key].shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_first_few(keys)}" for what, keys in problems.items() if keys)
        raise UserError(f"the weights in {path} do not fit clip.model={model}: {listed}.")
    network.load_state_dict(weights)


def _adapted(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in open_clip's current names."""
    weights = convert_state_dict(network, dict(weights))
    if "positional_embedding" in weights and not hasattr(network, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    own = network.state_dict()
    for key in ("logit_scale", "logit_bias"):
        if key in weights and key in own:
            weights[key] = weights[key].reshape(own[key].shape)
    if _POSITION_IDS not in own:
        weights.pop(_POSITION_IDS, None)
    return weights


def _first_few(keys: Sequence[str]) -> str:
    rest = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
