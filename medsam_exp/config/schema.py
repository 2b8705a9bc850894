"""The typed root of every configuration, and the checks that run before any model is loaded.

Three nets, one after the other: the schema (a wrong top-level key or type), the signatures (`signatures.py`: every
`_target_` node is bound to the arguments and types of what it names), the meaning (`checks.py`: functions
`(cfg) -> list of sentences`). Values without a choice are in the files of `conf/` alone.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.config.start_command import start_command
from medsam_exp.config.unsafe_values import name_problems
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.pipeline import STAGES, Stage
from medsam_exp.types import UserError


@dataclass
class Paths:
    """Where things lie; never part of an artifact's key."""

    data: str = MISSING
    weights: str = MISSING
    outputs: str = MISSING
    artifacts: str = MISSING
    tuned: str = MISSING
    mirrors: dict[str, str] = MISSING
    proxy: str | None = MISSING


@dataclass
class Limits:
    """How much a file may hold (`medsam_exp.runtime.limits`); decides no result."""

    image_mib: float = MISSING
    volume_mib: float = MISSING
    text_mib: float = MISSING
    nesting: int = MISSING
    frames: int = MISSING
    weights_gib: float = MISSING
    unpacked_gib: float = MISSING
    packing: float = MISSING


def _batch_sizes() -> Any:
    """Images per batch of the stages that run a network, as their rows have them."""
    sizes = [(name, int, stage.batch_size) for name, stage in STAGES.items() if stage.batch_size is not None]
    return make_dataclass("BatchSize", sizes)()


@dataclass
class Fit:
    """How long and on what batches a training stage runs."""

    epochs: int = MISSING
    batch_size: int = MISSING
    chunk_size: int | None = MISSING
    accumulate: int = MISSING
    validate_every: int = MISSING
    gradient_clip: float | None = MISSING
    smallest_crop: float = MISSING
    cache_images: bool = MISSING


@dataclass
class Calibration:
    """How a presence score is calibrated, and what the calibration's file says about its origin."""

    features: list[str] = MISSING
    regularization: float = MISSING
    folds: int = MISSING
    data: str = MISSING
    split: str = MISSING
    seed: int | None = MISSING
    clip: str = MISSING


@dataclass
class Uncertainty:
    """How an ensemble's uncertainty is judged."""

    bins: int = MISSING
    near_px: float = MISSING


@dataclass
class Search:
    """How the stage `tune` searches, and on which images."""

    metric: str = MISSING
    direction: str = MISSING
    sampler: str = MISSING
    trials: int | None = MISSING
    timeout: float | None = MISSING
    overwrite: bool = False
    data: dict[str, Any] = MISSING
    space: dict[str, Any] = MISSING


@dataclass
class TunedOn:
    """Which images chose the numbers of one group, by their masks or without; in the files of `conf/tuned/`."""

    data: str = MISSING
    split: str = MISSING
    images: int = MISSING
    values: dict[str, Any] = MISSING
    metric: str | None = None
    score: float | None = None
    date: str | None = None
    study: str | None = None
    masks: bool = True


@dataclass
class SamEmbedding:
    """How image embeddings of SAM are stored; decides no result."""

    disk_limit_gb: float = MISSING


@dataclass
class Review:
    """Which images of an ensemble's the report asks a reader to look at first; decides no result."""

    images: int = MISSING
    by: str = MISSING


@dataclass
class Sweep:
    """How the jobs of a sweep run."""

    fail_fast: bool = MISSING


@dataclass
class Run:
    """Top level of a run without its groups of methods; `Any` is checked against the signature of what it names."""

    name: str = MISSING
    stages: list[str] = MISSING
    seed: int = MISSING
    data: Any = MISSING
    text: Any = MISSING
    fit: Fit = MISSING
    calibration: Calibration = MISSING
    train_data: dict[str, Any] = MISSING
    label_stages: list[str] = MISSING
    calibration_data: dict[str, Any] = MISSING
    allow_leaks: bool = MISSING
    uncertainty: Uncertainty = MISSING
    search: Search = MISSING
    tuned_on: dict[str, TunedOn] = field(default_factory=dict)
    trainer: Any = MISSING
    logger: Any = MISSING
    paths: Paths = MISSING
    limits: Limits = MISSING
    batch_size: Any = field(default_factory=_batch_sizes)
    workers: int | str = MISSING
    sweep: Sweep = MISSING
    report_cases: int = MISSING
    report_images: int = MISSING
    sam_embedding: SamEmbedding = MISSING
    review: Review = MISSING


def config_type() -> type:
    """`Run` with a key for each further config group that a stage reads, those of other packages' stages too."""
    typed = {each.name for each in fields(Run)}
    groups = dict.fromkeys(group for stage in STAGES.values() for group in stage.reads if group not in typed)
    return make_dataclass("Config", [(group, Any, None) for group in groups], bases=(Run,))


_SCHEMA = "schema"
_registered: dict[str, Stage] = {}
"""The stages that the schema which Hydra knows was made for."""


def register_schema() -> None:
    """Make the schema known to Hydra as `schema`, unless it knows that of the same stages."""
    store = ConfigStore.instance()
    if f"{_SCHEMA}.yaml" not in store.repo or _registered != STAGES:
        store.store(name=_SCHEMA, node=config_type())
        _registered.clear()
        _registered.update(STAGES)


def check(cfg: DictConfig) -> DictConfig:
    """Resolve and check a composed configuration.

    Returns:
        The configuration, resolved and read-only.

    Raises:
        UserError: everything that is wrong, one sentence a problem.
    """
    # Here, as they import pydantic and torch, which --cfg and --help need not wait for.
    from medsam_exp.config.checks import MEANING_CHECKS
    from medsam_exp.config.signatures import signature_problems

    resolve(cfg)
    problems = [*name_problems(cfg.name), *_broken_numbers(cfg), *signature_problems(cfg)] or [
        line for rule in MEANING_CHECKS for line in rule(cfg)
    ]
    if problems:
        raise UserError("; ".join(problems))
    OmegaConf.set_readonly(cfg, True)
    return cfg


def resolve(cfg: DictConfig) -> None:
    """Replace all that refers to other values by these.

    Raises:
        UserError: a value is not set, or refers to one that is not there.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        OmegaConf.resolve(cfg)
    except OmegaConfBaseException as error:
        line = first_line(error)
        if absent := re.search(r"Interpolation key '(\w+)\.(\S+)' not found", line):
            group, key = absent.groups()
            raise UserError(
                f"{group}.{key} is not set, and {error.full_key} refers to it: add `{key}: ...` to the YAML of {group}"
            ) from error
        named = re.search(r"Missing mandatory value: (\S+)", line)
        if named is None:
            raise UserError(f"the configuration cannot be resolved: {line}") from error
        missing = [named[1]]
    if missing:
        raise UserError(
            f"{missing[0]} is not set; give it a value, as in: {start_command()} {missing[0]}=..."
        )


def _broken_numbers(content: Any, key: str = "") -> Iterator[str]:
    """A sentence for each number that is NaN or infinite; comparisons let NaN through."""
    if isinstance(content, float) and not math.isfinite(content):
        yield f"{key}={content} is not a finite number"
    elif isinstance(content, DictConfig):
        for name, value in content.items():
            yield from _broken_numbers(value, f"{key}.{name!s}" if key else str(name))
    elif isinstance(content, ListConfig):
        for number, value in enumerate(content):
            yield from _broken_numbers(value, f"{key}[{number}]")
