"""Tensors of a TorchScript archive, as OpenAI publishes its CLIPs; the archive's code is neither run nor looked at."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medsam_exp.runtime.errors import UserError

_CONSTANTS = ("attn_mask", "input_resolution", "context_length", "vocab_size")
"""What a compiled CLIP keeps as tensors besides its weights."""
_STORAGES = {
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
}
_PLAIN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
    ("torch.jit._pickle", "build_intlist"): list,
    ("torch.jit._pickle", "build_doublelist"): list,
    ("torch.jit._pickle", "build_boollist"): list,
    ("torch.jit._pickle", "build_tensorlist"): list,
}


class _Module:
    """Takes the place of a compiled module: holds its attributes and can do nothing."""

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive that torch.jit has written."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return False  # damaged


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Tensors by their name in the module, as its state dict would have them.

    Raises:
        UserError: the archive asks for anything but tensors and plain containers.
    """
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = _Reader(archive, name.removesuffix("data.pkl"), path).load()
    found: dict[str, Tensor] = {}
    _collect(root, "", found)
    return found


class _Reader(pickle.Unpickler):
    """Knows tensors, containers and empty shells of modules; refuses the rest."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, path: Path) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive, self._folder, self._path = archive, folder, path

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in _PLAIN:
            return _PLAIN[module, name]
        raise UserError(
            f"{self._path} asks for {module}.{name}, which was not run, for it could do anything; get the weights "
            "as safetensors or as a bare state dict."
        )

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage: ("storage", type, file in data/, device, elements)."""
        _, dtype, key, _, _ = pid
        data = bytearray(self._archive.read(f"{self._folder}data/{key}"))
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _collect(module: Any, prefix: str, found: dict[str, Tensor]) -> None:
    for name, value in getattr(module, "attributes", {}).items():
        if name in _CONSTANTS:
            continue
        if isinstance(value, Tensor):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", found)
