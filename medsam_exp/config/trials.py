"""From the configuration of a run that tunes to those of its trials: other images, other values."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import resolved_copy
from medsam_exp.metrics.measures import MEASURES, MEASURES_WITHOUT_TRUTH
from medsam_exp.stages.pipeline import STAGES, reads_true_masks, trial_stages
from medsam_exp.training.search.space import Space, edges, grid, leaves, parse_space
from medsam_exp.types import UserError

TUNABLE = ("saliency", "postprocess", "component_filter", "prompt")
"""Groups whose numbers may be tuned: methods without weights of their own."""
NETWORK = "network"
"""Stands in `tuned_on` in place of a group, for numbers that belong to a network whatever images it sees."""


def searches(cfg: DictConfig) -> bool:
    """Whether the run searches numbers for later runs."""
    return any(STAGES[name].runs_trials for name in cfg.stages if name in STAGES)


def space_of(cfg: DictConfig) -> Space:
    """What the run's search may vary.

    Raises:
        UserError: the space is empty or an entry makes no sense.
    """
    return parse_space(OmegaConf.to_container(cfg.search.space, resolve=True))  # type: ignore[arg-type]


def tuning_config(cfg: DictConfig) -> DictConfig:
    """A run with stage `tune`, looking at the images to tune on instead of those to be scored later.

    Numbers that the search replaces, and settings that do not decide its result, are brought to one form, so that
    they do not decide the study's key.
    """
    tuning = resolved_copy(cfg)
    data = cfg.search.data
    tuning.data = OmegaConf.create(data) if "_target_" in data else OmegaConf.merge(tuning.data, data)
    tuning.search.data = {"split": split_name(tuning.data)}
    tuning.search.overwrite = False
    tuning.tuned_on = {}
    for key, entry in space_of(cfg).items():
        OmegaConf.update(tuning, key, edges(entry)[0], force_add=True)
    return tuning


def trial_config(tuning: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """One trial: the stages up to the tuned score, with changed values."""
    trial = resolved_copy(tuning)
    label, _, measure = tuning.search.metric.partition("/")
    trial.stages = trial_stages(measure)[label]
    for key, value in values.items():
        OmegaConf.update(trial, key, value, force_add=True)
    return trial


def split_name(data: DictConfig) -> str:
    """Which of a dataset's images these are: "val", or "seed 77" of drawn scans."""
    if "seed" in data:
        return f"seed {data.seed}"
    return str(data.get("split", "all"))


def shares_images(name: str, split: str, data: DictConfig) -> bool:
    """Whether a named split and a dataset may show the same images; drawn scans of one seed always do."""
    return split == split_name(data) and (split.startswith("seed ") or name == data.get("name"))


def values_of(group: str, record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers of an entry of `tuned_on` by dotted key of the configuration, such as saliency.beta."""
    for key, value in leaves(OmegaConf.to_container(record["values"], resolve=True)):  # type: ignore[arg-type]
        yield key if group == NETWORK else f"{group}.{key}", value


def without_tuned(group: str) -> str:
    """What to type to leave the tuned numbers of a group out."""
    return "~tuned" if group == "saliency" else f"~tuned/{group}"


def tune_problems(cfg: DictConfig) -> Iterator[str]:
    """What is wrong with the settings of `tune` themselves, before any trial is looked at."""
    if not searches(cfg):
        return
    try:
        space = space_of(cfg)
        if cfg.search.sampler == "grid":
            grid(space)
    except UserError as error:
        yield str(error)
        return
    for key in space:
        if key.partition(".")[0] not in TUNABLE:
            yield f"search.space names {key}, but only options of {', '.join(TUNABLE)} can be tuned"
    if list(cfg.stages) != ["tune"]:
        yield "stage 'tune' finds numbers for later runs and stands alone; use stages=[tune]"
    for problems in (_metric_problems, _sampler_problems, _split_problems, _fixed_problems):
        yield from problems(cfg)


def every_value(cfg: DictConfig) -> Iterator[DictConfig]:
    """Trials that show each value of the space once, the others as they come first."""
    tuning = tuning_config(cfg)
    for key, entry in space_of(cfg).items():
        for value in edges(entry):
            yield trial_config(tuning, {key: value})


def _metric_problems(cfg: DictConfig) -> Iterator[str]:
    label, _, name = cfg.search.metric.partition("/")
    known = {measure.name: measure for measure in (*MEASURES, *MEASURES_WITHOUT_TRUTH)}
    measure, scored = known.get(name), trial_stages(name)
    masks = " or ".join(f"{each}/" for each in scored)
    if measure is None:
        yield f"search.metric is {cfg.search.metric}; give {masks} and one of {', '.join(known)}, as in coarse/dsc"
        return
    if label not in scored:
        yield f"search.metric is {cfg.search.metric}; give {masks} before {name}, as in {[*scored][-1]}/{name}"
        return
    wanted = "maximize" if measure.higher_is_better else "minimize"
    if cfg.search.direction != wanted:
        yield f"search.direction is {cfg.search.direction}, but of {measure.label} one wants to {wanted}"


def _sampler_problems(cfg: DictConfig) -> Iterator[str]:
    if cfg.search.sampler not in ("grid", "tpe"):
        yield f"search.sampler is {cfg.search.sampler}; choose grid or tpe"
    if cfg.search.sampler == "tpe" and (cfg.search.trials is None or cfg.search.trials < 1):
        yield f"search.trials is {cfg.search.trials}, but search.sampler=tpe needs a number of trials"
    if cfg.search.timeout is not None and cfg.search.timeout <= 0:
        yield f"search.timeout is {cfg.search.timeout}, but it must be a number of seconds above 0"


def _split_problems(cfg: DictConfig) -> Iterator[str]:
    """Numbers must not be chosen with the masks that will score them; without masks any images may choose them."""
    tuning, with_masks = tuning_config(cfg).data, reads_true_masks(cfg.search.metric)
    name, split = str(tuning.get("name")), split_name(tuning)
    if with_masks and split.strip().casefold() == "test":
        yield (
            f"search.data is the test split of {name}, whose masks must not choose numbers; use another split, as in "
            "search.data.split=val"
        )
    elif name == "folder":
        yield "tune writes numbers for the data's name, but data=folder has none yet; give one, as in data.name=mine"
    elif with_masks and shares_images(name, split, cfg.data):
        yield (
            f"search.data is {name} ({split}), the very images that are to be scored; tune on others, as in "
            + ("search.data.seed=77" if "seed" in tuning else "search.data.split=val")
        )


def _fixed_problems(cfg: DictConfig) -> Iterator[str]:
    """Numbers of an earlier search must not stay in this one unseen; a network's own may, on other images."""
    searched, data = space_of(cfg), tuning_config(cfg).data
    for group, record in cfg.tuned_on.items():
        if group == NETWORK and not shares_images(record["data"], record["split"], data):
            continue
        fixed = [
            key
            for key, value in values_of(group, record)
            if key not in searched and OmegaConf.select(cfg, key) == value
        ]
        if fixed:
            yield (
                f"{', '.join(fixed)} came from an earlier search; add it to search.space, or start from the method's "
                f"own numbers with {without_tuned(group)}"
            )
