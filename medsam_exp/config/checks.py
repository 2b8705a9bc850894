"""Does a configuration make sense? Functions from it to sentences on what is wrong, run before any model is loaded."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import AcceleratorRegistry

from medsam_exp.config import method_checks as methods
from medsam_exp.config.auxiliary_images import auxiliary_problems
from medsam_exp.config.build import build
from medsam_exp.config.signatures import signature_problems
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import every_value, searches, tune_problems
from medsam_exp.config.tuned import tuned_elsewhere, tuned_for_these_data
from medsam_exp.stages.pipeline import STAGES, possible_parents, readers
from medsam_exp.training.precision import precision_problems
from medsam_exp.types import UserError

_SLOW_TO_MAKE = ("clip", "sam", "text_segmenter", "pairs")
"""Config groups that load a network or read data when they are made."""
_OWNED_BY_FIT = {
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


def _known_stages(cfg: DictConfig) -> Iterator[str]:
    """Stages must exist, stand once, and come after what they build on."""
    if not cfg.stages:
        yield "stages is empty; name at least one stage"
    for position, name in enumerate(cfg.stages):
        before = list(cfg.stages[:position])
        if name not in STAGES:
            yield f"stages names {name!r}, which does not exist; there are {', '.join(STAGES)}"
            continue
        if name in before:
            yield f"stages names {name!r} twice"
        for parent in stage_row(cfg, name).parents:
            if parent not in before:
                yield f"stage {name!r} needs {parent!r} before it in stages"
        one_of = possible_parents(name)
        if one_of and not set(one_of) & set(before):
            yield f"stage {name!r} needs one of {', '.join(one_of)} before it in stages"


def _data_root_exists(cfg: DictConfig) -> Iterator[str]:
    """A dataset's folder must be there before anything is loaded."""
    root = OmegaConf.select(cfg, "data.root")
    if root is not None and not Path(root).is_dir():
        yield (
            f"data.root={root} is not a folder; point data.root at the folder that holds test_images/ and test_masks/"
        )


def _positive_sizes(cfg: DictConfig) -> Iterator[str]:
    """Batch sizes and worker counts must make sense."""
    fit = ("batch_size", "epochs", "accumulate", "validate_every", "chunk_size")
    sizes = {f"batch_size.{stage}": size for stage, size in cfg.batch_size.items()}
    for key, value in (sizes | {f"fit.{key}": cfg.fit[key] for key in fit}).items():
        if value is not None and value < 1:
            yield f"{key}={value}, but it must be at least 1"
    if cfg.workers != "auto" and not isinstance(cfg.workers, int):
        yield f"workers={cfg.workers}, but it is a number or auto"
    elif cfg.workers != "auto" and cfg.workers < 0:
        yield f"workers={cfg.workers}, but it cannot be negative"


def _trainer_leaves_training_to_fit(cfg: DictConfig) -> Iterator[str]:
    """What decides a training's result must stand where it enters the result's key."""
    owned = _OWNED_BY_FIT if readers(cfg.stages, "fit") else {}
    if readers(cfg.stages, "nnunet"):
        owned = {**dict.fromkeys(_OWNED_BY_FIT, "the numbers of nnunet"), **owned}
    for key in owned:
        if key in cfg.trainer:
            yield f"trainer.{key} has no effect on a training; use {owned[key]}"


def _schedule_fits_training(cfg: DictConfig) -> Iterator[str]:
    """The learning rate of nnU-Net must be known for its epochs and cycles."""
    if not readers(cfg.stages, "nnunet_schedule"):
        return
    numbers = cfg.nnunet
    try:
        build(cfg.nnunet_schedule)(0, numbers.epochs, numbers.cycles, numbers.learning_rate)
    except UserError as error:
        yield f"nnunet_schedule: {error}"


def _contrast_needs_two_pairs(cfg: DictConfig) -> Iterator[str]:
    """A contrastive loss has nothing to tell apart in a batch of one."""
    if readers(cfg.stages, "loss") and cfg.fit.batch_size == 1:
        yield "fit.batch_size=1, but a contrastive loss needs at least 2 pairs in a batch"


def _several_devices_need_a_strategy(cfg: DictConfig) -> Iterator[str]:
    """Several processes only work with a distributed strategy."""
    alone = cfg.trainer.get("strategy", "auto") == "auto"
    devices, nodes = cfg.trainer.get("devices", 1), cfg.trainer.get("num_nodes", 1)
    if not isinstance(devices, int):
        yield f"trainer.devices={devices!r}, but it must be a number of devices"
    elif devices > 1 and alone:
        yield f"trainer.devices={devices} needs a distributed strategy; use trainer=ddp"
    elif not isinstance(nodes, int) or nodes < 1:
        yield f"trainer.num_nodes={nodes!r}, but it must be a number of machines"
    elif nodes > 1 and alone:
        yield f"trainer.num_nodes={nodes} needs a distributed strategy; use trainer=ddp"


def _accelerator_exists(cfg: DictConfig) -> Iterator[str]:
    """A run whose results are all stored never asks Lightning."""
    known = ["auto", "gpu", *sorted(AcceleratorRegistry.available_accelerators())]
    if (asked := cfg.trainer.get("accelerator", "auto")) not in known:
        yield f"trainer.accelerator={asked} is no kind of device; choose from {', '.join(known)}"


def _precision_fits_stages(cfg: DictConfig) -> list[str]:
    """Trainings keep their weights in float32."""
    return precision_problems(cfg.trainer.get("precision"), readers(cfg.stages, "fit", "nnunet"))


def _methods_can_be_made(cfg: DictConfig) -> Iterator[str]:
    """Methods without weights are made on trial: a refused number or a missing package is said before hours of work."""
    rows = [stage_row(cfg, name) for name in cfg.stages if name in STAGES]
    for group in dict.fromkeys(group for row in rows for group in row.reads):
        node = cfg.get(group)
        if node is None:
            yield f"the stages read {group}, but none is chosen; choose one, as in +{group}=NAME"
        elif group not in _SLOW_TO_MAKE and isinstance(node, DictConfig) and "_target_" in node:
            try:
                build(node)
            except UserError as error:
                sentence = str(error).rstrip(".")
                yield sentence if group in sentence else f"{group}: {sentence}"


def _tuned_values_fit(cfg: DictConfig) -> Iterator[str]:
    """Every value that a search may try, and the images it looks at, must pass the checks of a run of its own."""
    if not searches(cfg) or list(tune_problems(cfg)):
        return
    own = (tune_problems, _tuned_values_fit, tuned_elsewhere, tuned_for_these_data)
    rules = [rule for rule in MEANING_CHECKS if rule not in own]
    found = (
        line
        for trial in every_value(cfg)
        for line in [*signature_problems(trial)] or [line for rule in rules for line in rule(trial)]
    )
    yield from (f"of tune: {line}" for line in dict.fromkeys(found))


MEANING_CHECKS: tuple[Callable[[DictConfig], Iterable[str]], ...] = (
    _known_stages,
    _data_root_exists,
    _positive_sizes,
    _trainer_leaves_training_to_fit,
    _schedule_fits_training,
    _contrast_needs_two_pairs,
    _several_devices_need_a_strategy,
    _accelerator_exists,
    _precision_fits_stages,
    methods.millimetres_need_a_spacing,
    methods.class_name_needs_a_target,
    _methods_can_be_made,
    auxiliary_problems,
    methods.retrieval_has_something_to_find,
    methods.review_by_a_known_score,
    methods.saliency_fits_network,
    methods.prompts_are_understood,
    methods.alternatives_are_chosen_from,
    methods.veto_has_its_score,
    methods.calibration_spares_the_test_split,
    methods.calibrated_elsewhere,
    methods.text_segmenter_can_answer,
    methods.absent_targets_need_descriptions,
    methods.layer_within_network,
    methods.windows_within_grid,
    tune_problems,
    _tuned_values_fit,
    tuned_elsewhere,
    tuned_for_these_data,
)
