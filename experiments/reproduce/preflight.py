"""What a table needs and does not find, one sentence each, before anything runs and without opening a socket."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.reproduce.plan import Sweep, Table
from medsam_exp.cli.compose import composed
from medsam_exp.cli.preflight import clip, in_hub_cache, pairs
from medsam_exp.config.build import build, weight_files
from medsam_exp.config.checks import MEANING_CHECKS
from medsam_exp.config.method_checks import layer_within_network, saliency_fits_network
from medsam_exp.config.signatures import signature_problems
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError

_ASK_THE_HUB = (saliency_fits_network, layer_within_network)


@dataclass(frozen=True)
class Missing:
    """What a sweep needs and does not find.

    Attributes:
        sentences: one each.
        blocked: whether no job of it can run.
    """

    sentences: tuple[str, ...]
    blocked: bool


def find_missing(sweep: Sweep) -> Missing:
    """Check as many of the sweep's jobs as have all values between them."""
    each = [_of_job(sweep.overrides(job)) for job in sweep.probes]
    lines = [line for problems, fetched in each for line in (*problems, *fetched)]
    return Missing(tuple(dict.fromkeys(lines)), all(problems for problems, _ in each))


def missing_lines(tables: Sequence[Table], found: Mapping[Sweep, Missing]) -> list[str]:
    """Everything that is missing, one line each, equal sentences once with all places that they hold for."""
    places: dict[str, dict[str, dict[str, None]]] = {}
    for table in tables:
        for sweep in table.sweeps:
            for sentence in found[sweep].sentences:
                columns = places.setdefault(sentence, {}).setdefault(table.name, {})
                columns.update(dict.fromkeys(column.label for column in sweep.columns))
    lines = [
        f"{'; '.join(_place(own, tables, who[own]) for own in who)}: {what}" for what, who in places.items()
    ]
    for table in tables:
        reasons: dict[str, list[str]] = {}
        for row, why in table.absent.items():
            reasons.setdefault(why, []).append(repr(row))
        lines += [f"{table.name}: no rows {', '.join(rows)}: {why}" for why, rows in reasons.items()]
    return lines


def _place(name: str, tables: Sequence[Table], columns: Collection[str]) -> str:
    """A table, with its columns where it is not all of them."""
    table = next(table for table in tables if table.name == name)
    every = {column.label for sweep in table.sweeps for column in sweep.columns}
    return name if set(columns) == every else f"{name} ({', '.join(columns)})"


def _of_job(overrides: list[str]) -> tuple[list[str], list[str]]:
    """What stops a job, and what it has to fetch."""
    try:
        cfg = composed(overrides)
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            return [f"{missing[0]} is not set; give it a value, as in: {missing[0]}=..."], []
        OmegaConf.resolve(cfg)
    except (UserError, OmegaConfBaseException) as error:
        return [str(error).splitlines()[0]], []
    problems = list(signature_problems(cfg))
    stages = [STAGES[name] for name in cfg.stages if name in STAGES]
    weights = {group for stage in stages for group in stage.weights}
    here = "clip" not in weights or in_hub_cache(cfg.clip.model)
    for rule in (*MEANING_CHECKS, _sam_weights, _files, _texts):
        if here or rule not in _ASK_THE_HUB:
            problems += _asked(rule, cfg)
    fetched = [] if here else [need.sentence for need in clip(cfg) if not need.blocks]
    return problems, fetched


def _asked(rule: Callable[[DictConfig], Iterable[str]], cfg: DictConfig) -> list[str]:
    try:
        return list(rule(cfg))
    except UserError as error:
        return [str(error)]


def _sam_weights(cfg: DictConfig) -> list[str]:
    if {"sam_mask", "train_sam"} & set(cfg.stages):
        weight_files(cfg.sam)
    return []


def _files(cfg: DictConfig) -> list[str]:
    """Files of CLIP weights and of pairs that are named must be there; a tag of open_clip is fetched by the run."""
    return [need.sentence for look in (clip, pairs) for need in look(cfg) if need.blocks]


def _texts(cfg: DictConfig) -> list[str]:
    """Images, masks, classes and texts must fit; a folder that is not there is named elsewhere."""
    root = OmegaConf.select(cfg, "data.root")
    on_images = any(STAGES[name].scope in ("samples", "split") for name in cfg.stages if name in STAGES)
    if on_images and root is not None and Path(root).is_dir():
        build(cfg.text).bind(build(cfg.data).samples)
    return []
