"""Read a file of CLIP weights, whoever wrote it, or say in one sentence why it cannot be; no code in it is run."""

import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from medsam_exp.clip.torchscript import is_torchscript, read_torchscript
from medsam_exp.types import UserError

_TABLES = ("state_dict", "model_state_dict", "model")
"""Where training checkpoints keep the weights, among optimizer and epoch."""
_FINETUNED = "clip.network."
"""Where this project's own training checkpoints keep the network, beside the loss."""
_WRAPPERS = ("module.", "_orig_mod.", "model.", "network.")
"""What DistributedDataParallel, torch.compile and modules around a network put before every name."""
_REFUSED = re.compile(r"GLOBAL ([\w.]+) (?:was|whose)|call reduce|create new object|TorchScript")
"""What torch says of a pickle that it would have to run code for."""
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST"}
"""Instructions of a pickle that fetch something to run."""
_LOOKED_AT = 1 << 20
"""Bytes at a file's start that tell a plain pickle; weights lie in archives."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors, a state dict, or a training checkpoint.

    Training checkpoints of open_clip, of this project's fine-tuning, and others that keep their weights under
    `state_dict` or `model` are unpacked; what wrappers put before every name is taken away.

    Raises:
        UserError: the file is damaged, wants to run code, or holds something other than tensors.
    """
    content = _content(path)
    table = content
    if isinstance(content, Mapping):
        table = next((content[key] for key in _TABLES if isinstance(content.get(key), Mapping)), content)
    if not isinstance(table, Mapping) or not table or not _holds_tensors(table):
        raise UserError(
            f"{path} holds no table of weights; give a state dict or a training checkpoint of open_clip."
        )
    return _unwrapped(dict(table))


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if is_torchscript(path):
            return read_torchscript(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # damaged pickles fail in as many ways as there are instructions
        if path.suffix != ".safetensors" and (code := _code_in(path, error)):
            raise UserError(
                f"{path} holds code besides weights ({code}), which was not run, for it could do anything; "
                "nothing was loaded: get the weights as safetensors or as a bare state dict."
            ) from error
        raise UserError(
            f"the weights in {path} cannot be read; is the file complete, and is it a CLIP?"
        ) from error


def _code_in(path: Path, error: Exception) -> str | None:
    """What a refused file would run, or None when it is merely damaged; nothing of it is run here either."""
    if match := _REFUSED.search(str(error)):
        return match[1] or match[0]
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start.startswith(b"\x80"):  # a pickle of protocol 2 or later begins so
        return None
    try:
        names = {instruction.name for instruction, _, _ in pickletools.genops(start)}
    except ValueError:
        return None
    return "a pickled object" if names & _CALLS else None


def _holds_tensors(table: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) and isinstance(value, Tensor) for key, value in table.items())


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = {key.removeprefix(_FINETUNED): value for key, value in state.items() if key.startswith(_FINETUNED)}
    state = own or state
    while prefix := next((one for one in _WRAPPERS if all(key.startswith(one) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
