"""The typed root of every configuration, and the checks that run before any model is loaded.

Three nets, one after the other: the schema (a wrong top-level key or type), the signatures (`signatures.py`: every
`_target_` node is bound to the arguments and types of what it names), the meaning (functions `(cfg) -> list of
sentences`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medsam_exp.presence_checks import calibration_spares_the_test_split, veto_has_its_score
from medsam_exp.signatures import signature_problems
from medsam_exp.stages import STAGES
from medsam_exp.types import UserError


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
    presence: int = 32
    control_maps: int = 8
    grounding: int = 32
    sam_mask: int = 4
    retrieval: int = 32


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
class Retrieval:
    """How a CLIP model's retrieval is measured."""

    part: str = MISSING
    batch_size: int = MISSING
    shuffles: int = MISSING


@dataclass
class Calibration:
    """How a presence score is calibrated, and what the calibration's file says about its origin."""

    features: list[str] = MISSING
    regularization: float = MISSING
    folds: int = MISSING
    data: str = MISSING
    split: str = MISSING
    clip: str = MISSING


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
    tuning: Any = MISSING
    fit: Fit = MISSING
    saliency: Any = MISSING
    grounding: Any = MISSING
    presence: Any = MISSING
    calibration: Calibration = MISSING
    veto: Any = MISSING
    postprocess: Any = MISSING
    component_filter: Any = MISSING
    prompt: Any = MISSING
    sam: Any = MISSING
    metrics: Any = MISSING
    retrieval: Retrieval = MISSING
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
        "batch_size.retrieval": cfg.batch_size.retrieval,
        "batch_size.presence": cfg.batch_size.presence,
        "batch_size.control_maps": cfg.batch_size.control_maps,
        "batch_size.grounding": cfg.batch_size.grounding,
        "fit.batch_size": cfg.fit.batch_size,
        "fit.epochs": cfg.fit.epochs,
        "fit.accumulate": cfg.fit.accumulate,
        "fit.validate_every": cfg.fit.validate_every,
        "fit.chunk_size": cfg.fit.chunk_size,
    }
    problems = [
        f"{key}={value}, but it must be at least 1"
        for key, value in sizes.items()
        if value is not None and value < 1
    ]
    return problems + ([f"workers={cfg.workers}, but it cannot be negative"] if cfg.workers < 0 else [])


OWNED_BY_FIT = {
    "max_epochs": "fit.epochs",
    "max_steps": "fit.epochs",
    "gradient_clip_val": "fit.gradient_clip",
    "accumulate_grad_batches": "fit.accumulate",
    "check_val_every_n_epoch": "fit.validate_every",
    "limit_train_batches": "fewer pairs or images",
    "limit_val_batches": "fewer pairs or images",
    "overfit_batches": "fewer pairs or images",
    "fast_dev_run": "fit.epochs=1 and fewer pairs or images",
}
"""Options of Lightning's Trainer that decide what a training stage learns, and what decides it here."""


def trainer_leaves_training_to_fit(cfg: DictConfig) -> list[str]:
    """What decides a training's result must stand where it enters the result's key."""
    if not {"finetune_clip", "train_sam"} & set(cfg.stages):
        return []
    given = [key for key in OWNED_BY_FIT if key in cfg.trainer]
    return [f"trainer.{key} has no effect on a training; use {OWNED_BY_FIT[key]}" for key in given]


def contrast_needs_two_pairs(cfg: DictConfig) -> list[str]:
    """A contrastive loss has nothing to tell apart in a batch of one."""
    if "finetune_clip" in cfg.stages and cfg.fit.batch_size == 1:
        return ["fit.batch_size=1, but a contrastive loss needs at least 2 pairs in a batch"]
    return []


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


def retrieval_has_something_to_find(cfg: DictConfig) -> list[str]:
    """Retrieval needs pairs that exist, and more than one of them at a time."""
    if "retrieval" not in cfg.stages:
        return []
    part, parts = cfg.retrieval.part, [name for name in cfg.pairs if cfg.pairs[name] is not None]
    problems = []
    if "_target_" not in cfg.pairs and part not in parts:
        problems.append(f"retrieval.part={part}, but pairs has only {', '.join(map(str, parts))}")
    smallest = {"batch_size": 2, "shuffles": 1}
    return problems + [
        f"retrieval.{key}={cfg.retrieval[key]}, but it must be at least {least}"
        for key, least in smallest.items()
        if cfg.retrieval[key] < least
    ]


MEANING_CHECKS: tuple[Callable[[DictConfig], list[str]], ...] = (
    known_stages,
    data_root_exists,
    positive_sizes,
    trainer_leaves_training_to_fit,
    contrast_needs_two_pairs,
    several_devices_need_a_strategy,
    millimetres_need_a_spacing,
    class_name_needs_a_target,
    retrieval_has_something_to_find,
    veto_has_its_score,
    calibration_spares_the_test_split,
    layer_within_network,
)
