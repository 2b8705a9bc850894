"""What a table needs and does not find, one sentence each, before anything runs and without opening a socket."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.reproduce.plan import Sweep, Table, composed
from medsam_exp.build import build, weight_files
from medsam_exp.meaning import MEANING_CHECKS, layer_within_network, saliency_fits_network
from medsam_exp.signatures import signature_problems
from medsam_exp.stages import STAGES
from medsam_exp.types import UserError

_ASK_THE_HUB = (saliency_fits_network, layer_within_network)
_HUB = "hf-hub:"


@dataclass(frozen=True)
class Lacking:
    """What a sweep does not find.

    Attributes:
        sentences: one each.
        blocked: whether no job of it can run.
    """

    sentences: tuple[str, ...]
    blocked: bool


def lacking(sweep: Sweep) -> Lacking:
    """Look at as many of the sweep's jobs as have all values between them."""
    each = [_of_job(sweep.overrides(job)) for job in sweep.probes]
    lines = [line for problems, fetched in each for line in (*problems, *fetched)]
    return Lacking(tuple(dict.fromkeys(lines)), all(problems for problems, _ in each))


def said(tables: Sequence[Table], found: Mapping[Sweep, Lacking]) -> list[str]:
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
    except (HydraException, OmegaConfBaseException) as error:
        return [str(error).splitlines()[0]], []
    problems = list(signature_problems(cfg))
    stages = [STAGES[name] for name in cfg.stages if name in STAGES]
    weights = {group for stage in stages for group in stage.weights}
    here = "clip" not in weights or _is_here(cfg.clip.model)
    for rule in (*MEANING_CHECKS, _sam_weights, _clip_weights, _pairs, _texts):
        if here or rule not in _ASK_THE_HUB:
            problems += _asked(rule, cfg)
    fetched = (
        f"clip.model={cfg.clip.model} is not in the local cache; the run fetches it, or set clip.model=FOLDER"
    )
    return problems, [] if here else [fetched]


def _asked(rule: Callable[[DictConfig], list[str]], cfg: DictConfig) -> list[str]:
    try:
        return rule(cfg)
    except UserError as error:
        return [str(error)]


def _sam_weights(cfg: DictConfig) -> list[str]:
    if {"sam_mask", "train_sam"} & set(cfg.stages):
        weight_files(cfg.sam)
    return []


def _clip_weights(cfg: DictConfig) -> list[str]:
    """A file that is named must be there; a tag of open_clip is fetched by the run."""
    file = OmegaConf.select(cfg, "clip.weights")
    reads_clip = any("clip" in STAGES[name].weights for name in cfg.stages if name in STAGES)
    if not reads_clip or file is None or "/" not in file or Path(file).expanduser().is_file():
        return []
    return [f"clip.weights={file} is not a file; put the weights there, or point clip.weights at them"]


def _pairs(cfg: DictConfig) -> list[str]:
    if not any("pairs" in STAGES[name].reads or name == "retrieval" for name in cfg.stages if name in STAGES):
        return []
    files = [node.file for node in cfg.pairs.values() if isinstance(node, DictConfig) and "file" in node]
    return [
        f"{file} is not a file; it should have the columns filename and Caption"
        for file in dict.fromkeys(files)
        if not Path(file).is_file()
    ]


def _texts(cfg: DictConfig) -> list[str]:
    """Images, masks, classes and texts must fit; a folder that is not there is named elsewhere."""
    root = OmegaConf.select(cfg, "data.root")
    on_images = any(STAGES[name].works_on in ("samples", "split") for name in cfg.stages if name in STAGES)
    if on_images and root is not None and Path(root).is_dir():
        build(cfg.text).bind(build(cfg.data).samples)
    return []


def _is_here(model: str) -> bool:
    repository = model.removeprefix(_HUB)
    found = None if repository == model else try_to_load_from_cache(repository, "open_clip_config.json")
    return repository == model or isinstance(found, str)
