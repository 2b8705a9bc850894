"""Pickles of torch's, read without running anything: what stands in them beside weights becomes an empty shell."""

import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

_REFUSED = re.compile(r"GLOBAL ([\w.]+) (?:was|whose)|call reduce|create new object|TorchScript")
"""What torch says of a pickle that it would have to run code for."""
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST"}
"""Instructions of a pickle that fetch something to run."""
_LOOKED_AT = 1 << 20
"""Bytes at a file's start that tell a plain pickle; weights lie in archives."""


class _Shell:
    """Takes the place of a thing that trainers store beside weights; it keeps nothing and can do nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take whatever the real thing would be made with."""

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""

    def __setitem__(self, key: object, value: object) -> None:
        """Keep nothing."""


def _plain_dict(*_: object) -> dict[object, object]:
    """Takes the place of a defaultdict, which optimizers keep their state in."""
    return {}


_SHELLS = (
    "argparse.Namespace",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "pathlib.PosixPath",
    "torch.optim.adam.Adam",
    "torch.optim.adamw.AdamW",
    "torch.optim.sgd.SGD",
    "typing.Any",
)
"""Things by name that trainers store beside weights; none of them is imported for it."""
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((_Shell, name) for name in _SHELLS),
    (_plain_dict, "collections.defaultdict"),
    dict,
    list,
    int,
]


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, tensors on the CPU; whatever is neither weights nor known to be harmless raises."""
    with safe_globals(_HARMLESS), path.open("rb") as file:  # of a path, torch would believe the suffix
        return torch.load(file, map_location="cpu", weights_only=True)


def code_in(path: Path, error: Exception) -> str | None:
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
