"""Does a configuration make sense? Functions `(cfg) -> list of sentences`, run before any model is loaded."""

from collections.abc import Callable
from pathlib import Path

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.auxiliary_images import auxiliary_problems
from medsam_exp.config.build import build
from medsam_exp.config.presence_checks import (
    calibrated_elsewhere,
    calibration_spares_the_test_split,
    veto_has_its_score,
)
from medsam_exp.config.sam_checks import points_are_understood, training_needs_metas_framing
from medsam_exp.config.signatures import signature_problems
from medsam_exp.config.trials import every_value, tune_problems
from medsam_exp.config.tuned import tuned_elsewhere, tuned_for_these_data
from medsam_exp.nnunet.uncertainty.scores import SCORES
from medsam_exp.stages.pipeline import STAGES, possible_parents
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


def saliency_fits_network(cfg: DictConfig) -> list[str]:
    """The vision tower must offer what the saliency method looks at."""
    needs = getattr(get_object(cfg.saliency["_target_"]), "needs", None)
    if needs is None or "saliency" not in cfg.stages:
        return []
    from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

    who = cfg.saliency["_target_"].rpartition(".")[2]
    problem = vision_layout(cfg.clip.model).refusal(needs, f"saliency {who}")
    return [problem] if problem else []


def layer_within_network(cfg: DictConfig) -> list[str]:
    """The saliency's layer must be one of the vision tower's, and its patches must reach the embedding."""
    layer = OmegaConf.select(cfg, "saliency.layer")
    if layer is None or saliency_fits_network(cfg) or "saliency" not in cfg.stages:
        return []
    from medsam_exp.clip.load import vision_layout  # needs open_clip, which is slow to import

    problem = vision_layout(cfg.clip.model).layer_problem(layer)
    return [f"saliency.layer={layer}, but {cfg.clip.model} {problem}"] if problem else []


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
    owned = OWNED_BY_FIT if {"finetune_clip", "train_sam"} & set(cfg.stages) else {}
    if {"train_nnunet", "train_reference"} & set(cfg.stages):
        owned = {**dict.fromkeys(OWNED_BY_FIT, "the numbers of nnunet"), **owned}
    given = [key for key in owned if key in cfg.trainer]
    return [f"trainer.{key} has no effect on a training; use {owned[key]}" for key in given]


def schedule_fits_training(cfg: DictConfig) -> list[str]:
    """The learning rate of nnU-Net must be known for its epochs and cycles."""
    if not {"train_nnunet", "train_reference"} & set(cfg.stages):
        return []
    numbers = cfg.nnunet
    try:
        build(cfg.nnunet_schedule)(0, numbers.epochs, numbers.cycles, numbers.learning_rate)
    except UserError as error:
        return [f"nnunet_schedule: {error}"]
    return []


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
    nodes = cfg.trainer.get("num_nodes", 1)
    if not isinstance(nodes, int) or nodes < 1:
        return [f"trainer.num_nodes={nodes!r}, but it must be a number of machines"]
    if nodes > 1 and strategy == "auto":
        return [f"trainer.num_nodes={nodes} needs a distributed strategy; use trainer=ddp"]
    return []


def precision_fits_stages(cfg: DictConfig) -> list[str]:
    """Trainings keep their weights in float32, and nnU-Net chooses for itself."""
    known = (name for name in cfg.stages if name in STAGES)
    own = [name for name in known if {"fit", "nnunet", "ensemble"} & set(STAGES[name].reads)]
    return precision_problems(cfg.trainer.get("precision"), own)


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


def absent_targets_need_descriptions(cfg: DictConfig) -> list[str]:
    """Drawn scans whose truth is empty because their own description asks for something absent."""
    asks = cfg.data.get("absent_fraction", 0.0)
    on_samples = any(STAGES[name].scope == "samples" for name in cfg.stages if name in STAGES)
    own = "_target_" in cfg.text and getattr(get_object(cfg.text["_target_"]), "is_own_description", False)
    if not asks or not on_samples or own:
        return []
    return [
        f"data.absent_fraction={asks} holds for the scans' own descriptions; use text=description, or set it to 0"
    ]


def small_methods_can_be_made(cfg: DictConfig) -> list[str]:
    """Methods without weights are made on trial: a refused number or a missing package is said before hours of work."""
    read = {group for name in cfg.stages if name in STAGES for group in STAGES[name].reads}
    problems = []
    for group in (
        "saliency",
        "text_saliency",
        "presence",
        "postprocess",
        "component_filter",
        "veto",
        "prompt",
        "fusion",
        "mask_filter",
        "weak_label",
        "reference_label",
        "nnunet_schedule",
        "nnunet",
        "ensemble",
        "metrics",
        "pruner",
    ):
        try:
            if group in read:
                build(cfg[group])
        except UserError as error:
            sentence = str(error).rstrip(".")
            problems.append(sentence if group in sentence else f"{group}: {sentence}")
    return problems


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


def review_by_a_known_score(cfg: DictConfig) -> list[str]:
    """The list to review is ordered by a score that every image has."""
    score = cfg.review.by
    if "nnunet_ensemble" not in cfg.stages or score in SCORES:
        return []
    return [f"review.by={score}, but the scores are {', '.join(SCORES)}"]


def tuned_values_fit(cfg: DictConfig) -> list[str]:
    """Every value that a search may try, and the images it looks at, must pass the checks of a run of its own."""
    if "tune" not in cfg.stages or tune_problems(cfg):
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
    small_methods_can_be_made,
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
