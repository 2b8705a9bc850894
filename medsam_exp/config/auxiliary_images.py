"""From the configuration of a run to that of its stages on images that are not scored: trained or calibrated on."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import resolved_copy
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import split_name
from medsam_exp.runtime.extras import require
from medsam_exp.stages.pipeline import STAGES, mask_stages, readers, trainers
from medsam_exp.types import UserError

_AUGMENTED = "medsam_exp.data.augmented.AugmentedDataset"
_NNUNET_GROUPS = {"nnunet", "ensemble", "weak_label", "reference_label"}
"""Config groups of the stages that need nnU-Net."""
_NEUTRAL = {"label_ignore": "none", "label_weight": "equal"}
"""Config groups that look at what is known of a label's masks, and the choice of each that needs nothing."""
KNOWN_BY = {
    "coarse_mask": ("a second mask of each target", "label_stages with coarse_mask"),
    "iou_predictions": ("the IoU that SAM expects", "label_stages that end with sam_mask"),
    "presence": ("the presence of the target", "label_stages with presence"),
    "probability": (
        "the probabilities of an earlier round's network",
        "label_stages that end with nnunet_single or nnunet_ensemble",
    ),
}
"""What may be known of a mask, in words, and how zero-shot labels come to it."""


def auxiliary_config(cfg: DictConfig, stage: str) -> tuple[DictConfig, list[str]]:
    """Configuration and stages for the images that a stage declares beside the run's own."""
    key = STAGES[stage].auxiliary
    assert key is not None
    changed = resolved_copy(cfg)
    for other in ("train_data", "calibration_data"):
        changed[other] = auxiliary_data(cfg, other)  # whole, for stages that look at several
    changed.data = auxiliary_data(cfg, key)
    if STAGES[stage].makes_labels:
        changed.stages = _label_stages(cfg, stage)
    elif STAGES[stage].repeats:
        changed.stages = _with_trainers(cfg, _mask_making(cfg, stage))
    else:  # those that its row names: those of the run, and the last in any case
        chain = STAGES[stage].auxiliary_stages
        kept = [name for name in chain if name in cfg.stages or name == chain[-1]]
        changed.stages = _with_trainers(cfg, kept)
    return changed, list(changed.stages)


def auxiliary_data(cfg: DictConfig, key: str) -> DictConfig:
    """The config node of `train_data` or `calibration_data`: a dataset of its own, or `data` with changed values.

    Of `augmentation` it is `data` with changed images.
    """
    if key == "augmentation":
        parts = {"data": resolved_copy(cfg.data), "augmentation": resolved_copy(cfg.augmentation)}
        return OmegaConf.create({"_target_": _AUGMENTED, **parts})
    given = cfg[key]
    return resolved_copy(given if "_target_" in given else OmegaConf.merge(cfg.data, given))  # type: ignore[arg-type]


def label_source(cfg: DictConfig, group: str) -> str:
    """Where labels come from: "zero_shot", "folder" or "ground_truth"."""
    source: str = get_object(cfg[group]["_target_"]).source
    return source


def _label_stages(cfg: DictConfig, stage: str) -> list[str]:
    """What makes masks of training images; nothing where true masks or a folder's are taken."""
    if label_source(cfg, stage) != "zero_shot":
        return []
    trained = [
        name
        for name in _label_makers()
        if STAGES[name].trains and name in cfg.stages and name not in cfg.label_stages
    ]
    return [*trained, *cfg.label_stages]


def _mask_making(cfg: DictConfig, stage: str) -> list[str]:
    """The stages of a run before one of them that make masks, and those that these build on."""
    before, needed = list(takewhile(lambda name: name != stage, cfg.stages)), set[str]()
    for name in reversed(before):
        row = stage_row(cfg, name)
        if row.label or name in needed:
            needed |= {name, *row.parents, *row.optional_parents, *row.conditional_parents}
    return [name for name in before if name in needed]


def _with_trainers(cfg: DictConfig, names: list[str]) -> list[str]:
    """The same stages; before those that make labels also the run's trainings that the labels' own stages build on."""
    if not any(STAGES[name].makes_labels for name in names):
        return names
    trainings = [name for name in _label_makers() if STAGES[name].trains and name in cfg.stages]
    return [*(name for name in trainings if name not in names), *names]


def _label_makers() -> list[str]:
    return [name for name, stage in STAGES.items() if stage.before_labels]


def auxiliary_problems(cfg: DictConfig) -> Iterator[str]:
    """Nothing is chosen on a test split, labels need their stages, and networks come from somewhere."""
    calibrates = any(STAGES[name].learns_from == "calibration_data" for name in cfg.stages if name in STAGES)
    if calibrates and split_name(auxiliary_data(cfg, "calibration_data")).casefold() == "test":
        yield "calibration_data is a test split, whose masks must choose nothing; use another split"
    yield from filter(None, [_label_problem(cfg) or _trust_problem(cfg)])
    yield from dict.fromkeys(_network_problems(cfg))


def _label_problem(cfg: DictConfig) -> str | None:
    zero_shot = any(
        stage in STAGES and STAGES[stage].makes_labels and label_source(cfg, stage) == "zero_shot"
        for stage in cfg.stages
    )
    if not zero_shot:
        return None
    stages = list(cfg.label_stages)
    if wrong := [name for name in stages if name not in _label_makers()]:
        return f"label_stages names {wrong[0]!r}; masks of training images are made by {', '.join(_label_makers())}"
    for position, name in enumerate(stages):
        if missing := [parent for parent in stage_row(cfg, name).parents if parent not in stages[:position]]:
            return f"label_stages: {name!r} needs {missing[0]!r} before it"
    if trained := trainers(cfg.stages, "sam"):
        return f"{trained[0]} reads true masks, so labels cannot be zero-shot beside it; train it in a run of its own"
    makers = [name for name in mask_stages() if STAGES[name].before_labels]
    return (
        None
        if set(makers) & set(stages)
        else f"label_stages makes no masks: end it with {' or '.join(makers)}"
    )


def _trust_problem(cfg: DictConfig) -> str | None:
    """What marks unknown pixels or weighs images finds what it looks at."""
    for stage in (name for name in cfg.stages if name in STAGES and "label_ignore" in STAGES[name].reads):
        source = label_source(cfg, stage)
        masks, known = _known_of_labels(cfg, stage, source)
        for group, neutral in _NEUTRAL.items():
            needs = getattr(get_object(cfg[group]["_target_"]), "needs", None)
            if needs is None or needs in known:
                continue
            if needs not in KNOWN_BY:
                return (
                    f"{group}._target_={cfg[group]['_target_']} has needs={needs!r}, which nothing gives of a "
                    f"mask: set it to {' or '.join(KNOWN_BY)}"
                )
            looked_at, given_by = KNOWN_BY[needs]
            other = given_by if source == "zero_shot" else f"{stage}=all with {given_by}"
            second = f", {stage}.second=FOLDER" if (source, needs) == ("folder", "coarse_mask") else ""
            return (
                f"{group} looks at {looked_at}, which {masks} do not have: take {group}={neutral}{second}, "
                f"or {other}"
            )
    return None


def _known_of_labels(cfg: DictConfig, stage: str, source: str) -> tuple[str, set[str]]:
    """The masks that become labels, in words, and what is known of each besides."""
    if source != "zero_shot":
        second = source == "folder" and cfg[stage].get("second") is not None
        return f"masks of {stage}={source}", {"coarse_mask"} if second else set()
    stages = list(cfg.label_stages)
    last = [name for name in mask_stages() if name in stages][-1]
    known = {"coarse_mask", "presence"}.intersection(stages)
    if last == "sam_mask":
        known.add("iou_predictions")
    if STAGES[last].supervision != "none":
        known.add("probability")
    return f"masks of {last}", known


def _relabelling(cfg: DictConfig) -> list[str]:
    """Stages by which a network of an earlier run makes the labels of this one."""
    makes = any(
        name in STAGES and STAGES[name].makes_labels and label_source(cfg, name) == "zero_shot"
        for name in cfg.stages
    )
    return readers(cfg.label_stages, "ensemble") if makes else []


def _network_problems(cfg: DictConfig) -> Iterator[str]:
    """Masks of nnU-Net come from the run's own training or from a given results folder, not from both or neither."""
    stages = list(cfg.stages)
    if readers(stages, *_NNUNET_GROUPS):
        try:
            require("nnunetv2")
        except UserError as error:
            yield f"stages={stages} {error}"
            return
    if (relabels := _relabelling(cfg)) and cfg.ensemble.get("results") is None:
        yield (
            f"label_stages names {relabels[0]!r}, whose masks an earlier run's network makes: give its folder as "
            "ensemble.results=FOLDER"
        )
    predicts = sorted(name for name in readers(stages, "ensemble") if "ensemble" in STAGES[name].weights)
    if not predicts:
        return
    given: Any = cfg.ensemble.get("results")
    trainer = trainers(STAGES[predicts[0]].optional_parents, "ensemble")[0]
    if given is not None and trainer in stages and not _relabelling(cfg):
        yield f"ensemble.results is a network trained elsewhere; leave {trainer} out, or set it to null"
    if given is None and trainer not in stages:
        yield f"stage {predicts[0]!r} needs {trainer!r} before it in stages, or ensemble.results=FOLDER"
    for later in predicts:
        for first in STAGES[later].optional_parents:
            if first in stages and stages.index(first) > stages.index(later):
                yield f"stage {first!r} must stand before {later!r}, which uses its result"
