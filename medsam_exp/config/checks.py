"""Does a configuration make sense? Functions `(cfg) -> list of sentences`, run before any model is loaded."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.auxiliary_images import auxiliary_problems
from medsam_exp.config.build import build
from medsam_exp.config.method_checks import (
    absent_targets_need_descriptions,
    calibrated_elsewhere,
    calibration_spares_the_test_split,
    class_name_needs_a_target,
    layer_within_network,
    millimetres_need_a_spacing,
    points_are_understood,
    retrieval_has_something_to_find,
    review_by_a_known_score,
    saliency_fits_network,
    training_needs_metas_framing,
    veto_has_its_score,
)
from medsam_exp.config.signatures import signature_problems
from medsam_exp.config.trials import every_value, searches, tune_problems
from medsam_exp.config.tuned import tuned_elsewhere, tuned_for_these_data
from medsam_exp.stages.pipeline import STAGES, possible_parents, readers
from medsam_exp.training.precision import precision_problems
from medsam_exp.types import UserError


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
        one_of = possible_parents(name)
        if one_of and not set(one_of) & set(before):
            problems.append(f"stage {name!r} needs one of {', '.join(one_of)} before it in stages")
    return problems or ([] if cfg.stages else ["stages is empty; name at least one stage"])


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
    fit = ("batch_size", "epochs", "accumulate", "validate_every", "chunk_size")
    sizes = {f"batch_size.{stage}": size for stage, size in cfg.batch_size.items()}
    sizes |= {f"fit.{key}": cfg.fit[key] for key in fit}
    problems = [
        f"{key}={value}, but it must be at least 1"
        for key, value in sizes.items()
        if value is not None and value < 1
    ]
    return problems + ([f"workers={cfg.workers}, but it cannot be negative"] if cfg.workers < 0 else [])


SLOW_TO_MAKE = ("clip", "sam", "pairs")
"""Config groups that load a network or read data when they are made."""
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
    owned = OWNED_BY_FIT if readers(cfg.stages, "fit") else {}
    if readers(cfg.stages, "nnunet"):
        owned = {**dict.fromkeys(OWNED_BY_FIT, "the numbers of nnunet"), **owned}
    given = [key for key in owned if key in cfg.trainer]
    return [f"trainer.{key} has no effect on a training; use {owned[key]}" for key in given]


def schedule_fits_training(cfg: DictConfig) -> list[str]:
    """The learning rate of nnU-Net must be known for its epochs and cycles."""
    if not readers(cfg.stages, "nnunet_schedule"):
        return []
    numbers = cfg.nnunet
    try:
        build(cfg.nnunet_schedule)(0, numbers.epochs, numbers.cycles, numbers.learning_rate)
    except UserError as error:
        return [f"nnunet_schedule: {error}"]
    return []


def contrast_needs_two_pairs(cfg: DictConfig) -> list[str]:
    """A contrastive loss has nothing to tell apart in a batch of one."""
    if readers(cfg.stages, "loss") and cfg.fit.batch_size == 1:
        return ["fit.batch_size=1, but a contrastive loss needs at least 2 pairs in a batch"]
    return []


def several_devices_need_a_strategy(cfg: DictConfig) -> list[str]:
    """Several processes only work with a distributed strategy."""
    devices, strategy = cfg.trainer.get("devices", 1), cfg.trainer.get("strategy", "auto")
    if not isinstance(devices, int):
        return [f"trainer.devices={devices!r}, but it must be a number of devices"]
    if devices > 1 and strategy == "auto":
        return [f"trainer.devices={devices} needs a distributed strategy; use trainer=ddp"]
    nodes = cfg.trainer.get("num_nodes", 1)
    if not isinstance(nodes, int) or nodes < 1:
        return [f"trainer.num_nodes={nodes!r}, but it must be a number of machines"]
    if nodes > 1 and strategy == "auto":
        return [f"trainer.num_nodes={nodes} needs a distributed strategy; use trainer=ddp"]
    return []


def precision_fits_stages(cfg: DictConfig) -> list[str]:
    """Trainings keep their weights in float32, and nnU-Net chooses for itself."""
    return precision_problems(cfg.trainer.get("precision"), readers(cfg.stages, "fit", "nnunet", "ensemble"))


def methods_can_be_made(cfg: DictConfig) -> list[str]:
    """Methods without weights are made on trial: a refused number or a missing package is said before hours of work."""
    read = dict.fromkeys(group for name in cfg.stages if name in STAGES for group in STAGES[name].reads)
    problems = []
    for group in read:
        node = cfg.get(group)
        if node is None:
            problems.append(f"the stages read {group}, but none is chosen; choose one, as in +{group}=NAME")
        elif group not in SLOW_TO_MAKE and isinstance(node, DictConfig) and "_target_" in node:
            try:
                build(node)
            except UserError as error:
                sentence = str(error).rstrip(".")
                problems.append(sentence if group in sentence else f"{group}: {sentence}")
    return problems


def tuned_values_fit(cfg: DictConfig) -> list[str]:
    """Every value that a search may try, and the images it looks at, must pass the checks of a run of its own."""
    if not searches(cfg) or tune_problems(cfg):
        return []
    own = (tune_problems, tuned_values_fit, tuned_elsewhere, tuned_for_these_data)
    rules = [rule for rule in MEANING_CHECKS if rule not in own]
    found = (
        line
        for trial in every_value(cfg)
        for line in [*signature_problems(trial)] or [line for rule in rules for line in rule(trial)]
    )
    return [f"of tune: {line}" for line in dict.fromkeys(found)]


MEANING_CHECKS: tuple[Callable[[DictConfig], list[str]], ...] = (
    known_stages,
    data_root_exists,
    positive_sizes,
    trainer_leaves_training_to_fit,
    schedule_fits_training,
    contrast_needs_two_pairs,
    several_devices_need_a_strategy,
    precision_fits_stages,
    millimetres_need_a_spacing,
    class_name_needs_a_target,
    methods_can_be_made,
    auxiliary_problems,
    retrieval_has_something_to_find,
    review_by_a_known_score,
    saliency_fits_network,
    points_are_understood,
    training_needs_metas_framing,
    veto_has_its_score,
    calibration_spares_the_test_split,
    calibrated_elsewhere,
    absent_targets_need_descriptions,
    layer_within_network,
    tune_problems,
    tuned_values_fit,
    tuned_elsewhere,
    tuned_for_these_data,
)
