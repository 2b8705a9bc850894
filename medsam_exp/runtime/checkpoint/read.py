"""Read weights from a file, whoever wrote it, without running code that the file may contain.

The kind of file is seen by its content. What stands in a pickle beside weights becomes an empty shell; the network's
weights are taken out of the tables and prefixes that trainers and wrappers put around them.
"""

import logging
import pickletools
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from medsam_exp.runtime.checkpoint.declared import refuse_inflated, refuse_oversized
from medsam_exp.runtime.checkpoint.torchscript import is_torchscript, read_torchscript
from medsam_exp.runtime.errors import UserError
from medsam_exp.runtime.wording import first_few

log = logging.getLogger(__name__)

_REFUSED = re.compile(r"GLOBAL ([\w.]+) (?:was|whose)|call reduce|create new object|TorchScript")
"""What torch says of a pickle that it would have to run code for."""
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST"}
"""Instructions of a pickle that fetch something to run."""
_LOOKED_AT = 1 << 20
"""Bytes at a file's start that tell a plain pickle; weights lie in archives."""
_TABLES = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights")
"""Where trainers keep the weights, among optimizer and epoch (`module`: DeepSpeed's, `model_state`: micro-sam's)."""
_AVERAGES = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")
"""Where some keep a running average of them; taken where nothing else is there."""
_WRAPPER = re.compile(r"(?:(?:module|model|network|net|clip|clip_model|sam|base_model)\.)+")
"""What DistributedDataParallel, adapters and modules around a network put before every name."""
_COMPILED = "_orig_mod."
"""What torch.compile puts before the names of what it compiled."""
_REMEDY = "get the weights as safetensors or as a bare state dict"


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
    table = _table_in(_content(path, named), named)
    if table is None:
        raise UserError(
            f"{named} holds no table of weights, which are tensors by name: take the published file, a checkpoint "
            "of a training, or the network's state_dict() alone."
        )
    return _network_in(table, named)


def read_pickle(path: Path, allowed: Sequence[Any] = (), *, mmap: bool = False) -> Any:
    """What `torch.save` wrote, tensors on the CPU; anything but weights and what is known to be harmless raises.

    Args:
        path: of the file.
        allowed: further types to build, as `torch.serialization.safe_globals` takes them; without any, what trainers
            store beside weights becomes empty shells.
        mmap: read tensors from disk when they are used; of an archive alone, as PyTorch writes them since version 1.6.
    """
    refuse_inflated(path)
    with safe_globals([*(allowed or _HARMLESS)]):
        if mmap and zipfile.is_zipfile(path):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:  # of a path, torch would believe the suffix
            return torch.load(file, map_location="cpu", weights_only=True)


def unreadable(path: Path, named: str, error: Exception, remedy: str = _REMEDY) -> UserError:
    """The error of a file that was not read: it holds code, cannot be opened, or is damaged.

    Args:
        path: of the file.
        named: what sentences call it.
        error: that reading it raised.
        remedy: what to do where it holds code.
    """
    if code := _code_in(path, error):
        return UserError(
            f"{named} holds code besides weights ({code}), which was not run, for it could do anything; "
            f"nothing was loaded: {remedy}."
        )
    if isinstance(error, FileNotFoundError | PermissionError):
        return UserError(f"{named} cannot be read: {error.strerror}.")
    return UserError(
        f"{named} cannot be read; is the file complete, and is it a checkpoint of PyTorch's or safetensors? "
        "Download it again."
    )


def _content(path: Path, named: str) -> Mapping[Any, Any] | Any:
    try:
        with suppress(SafetensorError, OSError):
            return load_file(path)
        if is_torchscript(path):
            refuse_inflated(path)
            return read_torchscript(path)
        return read_pickle(path)
    except UserError:
        raise
    except Exception as error:  # damaged files fail in as many ways as there are instructions in a pickle
        raise unreadable(path, named, error) from error


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


def _table_in(content: Any, named: str, levels: int = 3) -> dict[str, Tensor] | None:
    """The tensors by name in what a file held; numbers and the like beside them are left. None: there are none.

    Args:
        content: as read.
        named: what sentences call the file.
        levels: of tables within tables that are looked through.
    """
    if not isinstance(content, Mapping) or not levels:
        return None
    keys = [key for key in (*_TABLES, *_AVERAGES) if isinstance(content.get(key), Mapping)]
    for key in keys:
        if (table := _table_in(content[key], named, levels - 1)) is not None:
            others = [other for other in keys if other != key]
            if others or key in _AVERAGES:
                left = (
                    f", left those under {first_few(sorted(others), 3)}" if others else ", a running average"
                )
                log.info("%s: took the weights under %r%s", named, key, left)
            return table
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    refuse_oversized(tensors.values(), named)
    return tensors or None


def _network_in(table: Mapping[str, Tensor], named: str) -> dict[str, Tensor]:
    """The weights behind the prefix that most names share, without it; a loss's beside them are left.

    Where most names have no prefix all are kept, so that whatever is no part of the network is refused by name.

    Args:
        table: tensors by name.
        named: what sentences call the file.
    """
    names = {name.replace(_COMPILED, ""): value for name, value in table.items()}
    counts = Counter(map(_prefix, names))
    taken = max(counts, key=lambda prefix: (counts[prefix], bool(prefix)))
    network = {name.removeprefix(taken): value for name, value in names.items() if name.startswith(taken)}
    if left := [name for name in names if not name.startswith(taken)]:
        log.info(
            "%s: took the %d weights behind %r, left %s",
            named,
            len(network),
            taken,
            first_few(sorted(left), 3),
        )
    return network


def _prefix(name: str) -> str:
    match = _WRAPPER.match(name)
    return match[0] if match else ""
