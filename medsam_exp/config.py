"""The typed root of every configuration, and the checks that run before any model is loaded.

Three nets, one after the other: the schema (a wrong top-level key or type), the signatures (every `_target_` node
is bound to the arguments and types of what it names), the meaning (functions `(cfg) -> list of sentences`).
"""

import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.utils import get_object
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from medsam_exp.stages import STAGES
from medsam_exp.types import UserError

_RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


@dataclass
class Paths:
    """Where things lie; never part of an artifact's key."""

    data: str = MISSING
    weights: str = MISSING
    outputs: str = MISSING
    artifacts: str = MISSING


@dataclass
class BatchSize:
    """Images per batch of the stages that run a network."""

    saliency: int = 4
    sam_mask: int = 4


@dataclass
class Fit:
    """How long and on what batches a training stage runs."""

    epochs: int = MISSING
    batch_size: int = MISSING
    validate_every: int = MISSING
    gradient_clip: float | None = None
    smallest_crop: float = MISSING
    cache_images: bool = MISSING


@dataclass
class Config:
    """Top level of a run; each `Any` is a config group, checked against the signature of what it names."""

    name: str = "dev"
    stages: list[str] = MISSING
    seed: int = 0
    data: Any = MISSING
    pairs: Any = MISSING
    text: Any = MISSING
    clip: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    fit: Fit = MISSING
    saliency: Any = MISSING
    postprocess: Any = MISSING
    component_filter: Any = MISSING
    prompt: Any = MISSING
    sam: Any = MISSING
    metrics: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    paths: Paths = MISSING
    batch_size: BatchSize = MISSING
    workers: int = 0
    report_cases: int = 3


def register() -> None:
    """Make the schema known to Hydra as `schema`."""
    ConfigStore.instance().store(name="schema", node=Config)


def check(cfg: DictConfig) -> DictConfig:
    """Resolve and check a composed configuration.

    Returns:
        The configuration, resolved and read-only.

    Raises:
        UserError: everything that is wrong, one sentence a problem.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        OmegaConf.resolve(cfg)
    except OmegaConfBaseException as error:
        line = str(error).splitlines()[0]
        named = re.search(r"Missing mandatory value: (\S+)", line)
        if named is None:
            raise UserError(f"the configuration cannot be resolved: {line}") from error
        missing = [named[1]]
    if missing:
        raise UserError(f"{missing[0]} is not set; give it a value, as in: python run.py {missing[0]}=...")
    problems = [*signature_problems(cfg)] or [line for rule in MEANING_CHECKS for line in rule(cfg)]
    if problems:
        raise UserError("; ".join(problems))
    OmegaConf.set_readonly(cfg, True)
    return cfg


def target_nodes(cfg: DictConfig, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (dotted path, node) of every node with a `_target_`, depth first."""
    for key, value in cfg.items():
        if isinstance(value, DictConfig):
            here = f"{path}.{key!s}" if path else str(key)
            if "_target_" in value:
                yield here, OmegaConf.to_container(value, resolve=True)  # type: ignore[misc]
            yield from target_nodes(value, here)


def signature_problems(cfg: DictConfig) -> Iterator[str]:
    """Yield a sentence for each node whose keys or values do not fit what its `_target_` takes."""
    for path, node in target_nodes(cfg):
        try:
            target = get_object(node["_target_"])
        except (ImportError, ValueError, AttributeError):
            yield f"{path}._target_ names {node['_target_']}, which cannot be imported"
            continue
        arguments = {key: value for key, value in node.items() if key not in _RESERVED}
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
    except (
        Exception
    ) as error:  # a hint pydantic refuses a config for (dataclasses, models) carries its own checks
        if "config" not in str(error):
            raise
        adapter = TypeAdapter(hint)
    try:
        adapter.validate_python(value)
    except ValidationError:
        if get_origin(hint) is Literal:
            yield f"{path} is {value!r}; choose from {', '.join(map(str, get_args(hint)))}"
            return
        name = hint.__name__ if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) else hint
        yield f"{path} is {value!r}, which is not a valid {str(name).replace('pathlib.', '')}"


def known_stages(cfg: DictConfig) -> list[str]:
    """Stages must exist, stand once, and come after what they build on."""
    problems = []
    for position, name in enumerate(cfg.stages):
        before = list(cfg.stages[:position])
        if name not in STAGES:
            problems.append(f"stages names {name!r}, which does not exist; there are {', '.join(STAGES)}")
            continue
        if name in before:
            problems.append(f"stages names {name!r} twice")
        missing = [parent for parent in STAGES[name].parents if parent not in before]
        problems.extend(f"stage {name!r} needs {parent!r} before it in stages" for parent in missing)
        one_of = STAGES[name].any_parent
        if one_of and not set(one_of) & set(before):
            problems.append(f"stage {name!r} needs one of {', '.join(one_of)} before it in stages")
    return problems or ([] if cfg.stages else ["stages is empty; name at least one stage"])


def layer_within_network(cfg: DictConfig) -> list[str]:
    """The saliency's layer must be one of the vision tower's blocks."""
    layer = OmegaConf.select(cfg, "saliency.layer")
    if layer is None or "saliency" not in cfg.stages:
        return []
    from medsam_exp.clip.load import vision_depth  # needs open_clip, which is slow to import

    depth = vision_depth(cfg.clip.model)
    if depth is None or 0 <= layer < depth:
        return []
    return [f"saliency.layer={layer}, but {cfg.clip.model} has {depth} layers, counted from 0 to {depth - 1}"]


def data_root_exists(cfg: DictConfig) -> list[str]:
    """A dataset's folder must be there before anything is loaded."""
    root = OmegaConf.select(cfg, "data.root")
    if root is None or Path(root).is_dir():
        return []
    return [
        f"data.root={root} is not a folder; point data.root at the folder that holds test_images/ and test_masks/"
    ]


def positive_sizes(cfg: DictConfig) -> list[str]:
    """Batch sizes and worker counts must make sense."""
    sizes = {
        "batch_size.saliency": cfg.batch_size.saliency,
        "batch_size.sam_mask": cfg.batch_size.sam_mask,
        "fit.batch_size": cfg.fit.batch_size,
        "fit.epochs": cfg.fit.epochs,
    }
    problems = [f"{key}={value}, but it must be at least 1" for key, value in sizes.items() if value < 1]
    return problems + ([f"workers={cfg.workers}, but it cannot be negative"] if cfg.workers < 0 else [])


def several_devices_need_a_strategy(cfg: DictConfig) -> list[str]:
    """Several processes only work with a distributed strategy."""
    devices, strategy = cfg.trainer.get("devices", 1), cfg.trainer.get("strategy", "auto")
    if not isinstance(devices, int):
        return [f"trainer.devices={devices!r}, but it must be a number of devices"]
    if devices > 1 and strategy == "auto":
        return [f"trainer.devices={devices} needs a distributed strategy; use trainer=ddp"]
    return []


def millimetres_need_a_spacing(cfg: DictConfig) -> list[str]:
    """A tolerance in mm can only be measured where the size of a pixel is known."""
    if cfg.metrics.get("tolerance_unit") != "mm" or cfg.data.get("spacing_mm") is not None:
        return []
    return [
        "metrics.tolerance_unit=mm, but data.spacing_mm is not set; set it, or use metrics.tolerance_unit=px"
    ]


def class_name_needs_a_target(cfg: DictConfig) -> list[str]:
    """The text that only names the target needs to know it."""
    if "saliency" not in cfg.stages or "target" not in cfg.text or cfg.text.target:
        return []
    return ["text=class_name, but data.target is not set; say what to find (data.target='breast tumor')"]


MEANING_CHECKS: tuple[Callable[[DictConfig], list[str]], ...] = (
    known_stages,
    data_root_exists,
    positive_sizes,
    several_devices_need_a_strategy,
    millimetres_need_a_spacing,
    class_name_needs_a_target,
    layer_within_network,
)
