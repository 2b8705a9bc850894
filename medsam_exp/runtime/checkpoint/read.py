"""Read a file of weights, whoever wrote it, or say in one sentence why it cannot be; no code in it is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from medsam_exp.runtime.checkpoint.pickles import code_in, read_pickle
from medsam_exp.runtime.checkpoint.torchscript import is_torchscript, read_torchscript
from medsam_exp.runtime.checkpoint.unwrap import network_in, table_in
from medsam_exp.runtime.errors import UserError

_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, which is JSON."""


def read_weights(path: Path, named: str | None = None) -> dict[str, Tensor]:
    """Tensors by the network's own names, from safetensors, a state dict, TorchScript, or a training checkpoint.

    The kind of file is seen by its content, not by its suffix. What trainers keep beside the weights, and what
    wrappers put before their names, is taken away; where that left weights aside, it is said.

    Args:
        path: of the file.
        named: what sentences call it, such as `sam.checkpoint=PATH`; its path by default.

    Raises:
        UserError: the file is damaged, wants to run code, or holds something other than tensors.
    """
    named = str(path) if named is None else named
    table = table_in(_content(path, named), named)
    if table is None:
        raise UserError(
            f"{named} holds no table of weights, which are tensors by name: take the published file, a checkpoint "
            "of a training, or the network's state_dict() alone."
        )
    return network_in(table, named)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, whatever its suffix."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        return file.read(1) == b"{" and length <= path.stat().st_size - _LENGTH_BYTES


def _content(path: Path, named: str) -> Mapping[Any, Any] | Any:
    safetensors = False
    try:
        if safetensors := is_safetensors(path):
            return load_file(path)
        if is_torchscript(path):
            return read_torchscript(path)
        return read_pickle(path)
    except UserError:
        raise
    except Exception as error:  # damaged files fail in as many ways as there are instructions in a pickle
        if not safetensors and (code := code_in(path, error)):
            raise UserError(
                f"{named} holds code besides weights ({code}), which was not run, for it could do anything; "
                "nothing was loaded: get the weights as safetensors or as a bare state dict."
            ) from error
        raise UserError(
            f"{named} cannot be read; is the file complete, and is it a checkpoint of PyTorch's or safetensors? "
            "Download it again."
        ) from error
