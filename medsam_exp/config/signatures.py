"""Does each `_target_` node of a configuration fit the signature of what it names?"""

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from medsam_exp.runtime.json_text import json_text
from medsam_exp.runtime.native_bf16 import TF32
from medsam_exp.stages.auto_precision import AUTO

_RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def _target_nodes(cfg: DictConfig, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (dotted path, node) of every node with a `_target_`, depth first."""
    for key, value in cfg.items():
        if isinstance(value, DictConfig):
            here = f"{path}.{key!s}" if path else str(key)
            if "_target_" in value:
                yield here, OmegaConf.to_container(value, resolve=True)  # type: ignore[misc]
            yield from _target_nodes(value, here)


def signature_problems(cfg: DictConfig) -> Iterator[str]:
    """Yield a sentence for each node whose keys or values do not fit what its `_target_` takes."""
    for path, node in _target_nodes(cfg):
        try:
            target = get_object(node["_target_"])
        except (ImportError, ValueError, AttributeError):
            yield f"{path}._target_ names {node['_target_']}, which cannot be imported"
            continue
        if not callable(target):
            yield f"{path}._target_ names {node['_target_']}, which is neither a class nor a function"
            continue
        arguments = {key: value for key, value in node.items() if key not in _RESERVED}
        if path == "trainer" and node.get("precision") in (AUTO, TF32):  # a plan says what the Trainer gets
            del arguments["precision"]
        yield from _binding_problems(path, target, arguments, partial=bool(node.get("_partial_", False)))


def _binding_problems(
    path: str, target: Callable[..., Any], arguments: Mapping[str, Any], *, partial: bool
) -> Iterator[str]:
    parameters = inspect.signature(target).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for key in arguments:
        if key not in parameters and not takes_any:
            yield f"{path}.{key} is not an option of {target.__qualname__}; it has {', '.join(parameters)}"
    if not partial:
        for name, parameter in parameters.items():
            required = parameter.default is inspect.Parameter.empty and parameter.kind not in (
                inspect.Parameter.VAR_KEYWORD,
                inspect.Parameter.VAR_POSITIONAL,
            )
            if required and name not in arguments:
                yield f"{path}.{name} is not set, and {target.__qualname__} needs it"
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for key, value in arguments.items():
        if key in hints and not _contains_target(value):
            yield from _type_problems(f"{path}.{key}", value, hints[key])


def _contains_target(value: object) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_contains_target, value.values()))
    return isinstance(value, list) and any(map(_contains_target, value))


def _type_problems(path: str, value: object, hint: Any) -> Iterator[str]:
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:
        return  # a type that only the target itself understands
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        # Dataclasses and models bring their own settings.
        adapter = TypeAdapter(hint)
    try:
        # As JSON, whose lists may become tuples and whose texts paths; but true is no number, and "5" is none.
        adapter.validate_json(json_text(value), strict=True)
    except ValidationError:
        if get_origin(hint) is Literal:
            yield f"{path} is {value!r}; choose from {', '.join(map(str, get_args(hint)))}"
            return
        name = hint.__name__ if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) else hint
        yield f"{path} is {value!r}, which is not a valid {str(name).replace('pathlib.', '')}"
