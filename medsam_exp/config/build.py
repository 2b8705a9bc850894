"""From configuration to objects; the only module that calls `hydra.utils.instantiate`."""

import importlib
import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from medsam_exp.types import UserError

_FULL_KEY = re.compile(r"^full_key: (\S+)$", re.M)
_HUB = "hf-hub:"


def build(node: DictConfig, **overrides: Any) -> Any:
    """Make the object that a config node describes.

    Args:
        node: of the configuration.
        overrides: arguments of the object; a table changes those keys alone of a nested node.

    Raises:
        UserError: the object itself refused its arguments; its own sentence.
    """
    if overrides:
        node = resolved_copy(node)  # a table would replace a nested node whole that is an interpolation
    try:
        return instantiate(node, **overrides, _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):
                cause.args = (_placed(str(cause), str(error)), *cause.args[1:])
                raise cause from error
            cause = cause.__cause__
        raise


def _placed(sentence: str, error: str) -> str:
    """A method's sentence with the keys of where it stands: saliency.inner.beta of one within another.

    Args:
        sentence: names keys as if the method were the choice of its group.
        error: of Hydra, which ends with the key of what could not be made.
    """
    found = _FULL_KEY.search(error)
    key = found[1] if found else ""
    group, _, within = key.partition(".")
    if not within or f"{key}." in sentence:
        return sentence
    return re.sub(rf"(?<![\w.]){re.escape(group)}\.", f"{key}.", sentence)


def weight_files(node: DictConfig) -> list[Path]:
    """Local files that decide the weights of the network a node describes, without loading it.

    The function `weight_files(**arguments)` answers, of the module `weight_files` beside that of the node's `_target_`,
    which imports no network's code; where there is none, of the module of the `_target_` itself.
    """
    own = str(node["_target_"]).rpartition(".")[0]
    beside = f"{own.rpartition('.')[0]}.weight_files"
    module = importlib.import_module(beside if own.count(".") and find_spec(beside) else own)
    files: list[Path] = module.weight_files(**_arguments(node))
    return files


def nested_weight_files(node: Any) -> list[Path]:
    """Local files of the networks that a method holds: of each node in it whose `_target_` has `weight_files`.

    A node without a text among its arguments names no file, so that its code, which often imports torch, is not read.
    """
    if isinstance(node, ListConfig):
        return [path for part in node for path in nested_weight_files(part)]
    if not isinstance(node, DictConfig):
        return []
    arguments = _arguments(node) if "_target_" in node else {}
    names_files = any(isinstance(value, str) for value in arguments.values())
    own = getattr(get_object(node["_target_"]), "weight_files", None) if names_files else None
    files = [] if own is None else list(own(**arguments))
    return files + [path for part in node.values() for path in nested_weight_files(part)]


def resolved_copy(cfg: DictConfig) -> DictConfig:
    """A copy of a configuration without interpolations, open to any key."""
    copy = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(copy, DictConfig)
    return copy


def keyed_values(node: Any, *, without_paths: bool = False, without: Collection[str] = ()) -> Any:
    """A config group as it enters an artifact's key: its resolved values.

    Args:
        node: the group.
        without_paths: leave out values with a slash that are existing files or folders, or a repository of the
            hub; for groups whose files' content enters the key by checksums, so that weights stay the same weights
            wherever they lie.
        without: settings that change no result.
    """
    if not isinstance(node, DictConfig):
        return node
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    content = {key: value for key, value in content.items() if key not in without}
    if without_paths:
        return _without_paths(content)
    return content


def _without_paths(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_paths(value) for key, value in node.items() if not _is_place(value)}
    if isinstance(node, list):
        return [_without_paths(value) for value in node if not _is_place(value)]
    return node


def _is_place(value: Any) -> bool:
    """Whether this is a file, a folder or a repository of the hub."""
    return isinstance(value, str) and "/" in value and (_HUB in value or Path(value).expanduser().exists())


def _arguments(node: DictConfig) -> dict[str, Any]:
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items() if not str(key).startswith("_")}
