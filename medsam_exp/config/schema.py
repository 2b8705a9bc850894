"""The typed root of every configuration, and the checks that run before any model is loaded.

Three nets, one after the other: the schema (a wrong top-level key or type), the signatures (`signatures.py`: every
`_target_` node is bound to the arguments and types of what it names), the meaning (`meaning.py`: functions
`(cfg) -> list of sentences`).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.config.checks import MEANING_CHECKS
from medsam_exp.config.signatures import signature_problems
from medsam_exp.config.start_command import start_command
from medsam_exp.config.trials import SearchSettings
from medsam_exp.config.tuned import TunedOn
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError


@dataclass
class Paths:
    """Where things lie; never part of an artifact's key."""

    data: str = MISSING
    weights: str = MISSING
    outputs: str = MISSING
    artifacts: str = MISSING
    tuned: str = MISSING
    mirrors: dict[str, str] = field(default_factory=dict)
    proxy: str | None = None


def _batch_sizes() -> Any:
    """Images per batch of the stages that run a network, as their rows have them."""
    sizes = [(name, int, stage.batch_size) for name, stage in STAGES.items() if stage.batch_size is not None]
    return make_dataclass("BatchSize", sizes)()


@dataclass
class Fit:
    """How long and on what batches a training stage runs."""

    epochs: int = MISSING
    batch_size: int = MISSING
    chunk_size: int | None = None
    accumulate: int = 1
    validate_every: int = MISSING
    gradient_clip: float | None = None
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
    seed: int | None = None
    clip: str = MISSING


@dataclass
class Uncertainty:
    """How an ensemble's uncertainty is judged."""

    bins: int = MISSING
    near_px: float = MISSING


@dataclass
class SamEmbedding:
    """How image embeddings of SAM are stored; decides no result."""

    disk_limit_gb: float = 20.0


@dataclass
class Review:
    """Which images of an ensemble's the report asks a reader to look at first; decides no result."""

    images: int = 20
    by: str = "expected_dsc"


@dataclass
class Sweep:
    """How the jobs of a sweep run."""

    fail_fast: bool = False


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
    adaptation: Any = MISSING
    fit: Fit = MISSING
    saliency: Any = MISSING
    text_saliency: Any = MISSING
    grounding: Any = MISSING
    presence: Any = MISSING
    calibration: Calibration = MISSING
    veto: Any = MISSING
    postprocess: Any = MISSING
    component_filter: Any = MISSING
    prompt: Any = MISSING
    sam: Any = MISSING
    fusion: Any = MISSING
    mask_filter: Any = MISSING
    train_data: dict[str, Any] = MISSING
    label_stages: list[str] = MISSING
    weak_label: Any = MISSING
    reference_label: Any = MISSING
    nnunet_schedule: Any = MISSING
    nnunet: Any = MISSING
    ensemble: Any = MISSING
    calibration_data: dict[str, Any] = MISSING
    allow_leaks: bool = False
    uncertainty: Uncertainty = MISSING
    metrics: Any = MISSING
    retrieval: Any = MISSING
    search: SearchSettings = MISSING
    pruner: Any = MISSING
    tuned_on: dict[str, TunedOn] = field(default_factory=dict)
    trainer: Any = MISSING
    logger: Any = MISSING
    paths: Paths = MISSING
    batch_size: Any = field(default_factory=_batch_sizes)
    workers: int = 0
    sweep: Sweep = field(default_factory=Sweep)
    report_cases: int = 3
    sam_embedding: SamEmbedding = field(default_factory=SamEmbedding)
    review: Review = field(default_factory=Review)


def register_schema() -> None:
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
        raise UserError(
            f"{missing[0]} is not set; give it a value, as in: {start_command()} {missing[0]}=..."
        )
    problems = [*_broken_numbers(cfg), *signature_problems(cfg)] or [
        line for rule in MEANING_CHECKS for line in rule(cfg)
    ]
    if problems:
        raise UserError("; ".join(problems))
    OmegaConf.set_readonly(cfg, True)
    return cfg


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
