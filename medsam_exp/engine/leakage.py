"""Train/test leakage: no run scores images that its networks and numbers were made with; compared by their pixels.

A stage declares which images it learns from and which it measures on (`medsam_exp.stages`). Copies are found by digests
of the pixels that were decoded when the datasets were read, whatever names and formats they have; drawn scans by their
number. What a stage learnt from stays beside its weights, so that later runs with these weights know it, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import count
from pathlib import Path

from omegaconf import DictConfig
from pydantic import TypeAdapter

from medsam_exp.config.auxiliary_images import auxiliary_data, label_source
from medsam_exp.config.build import weight_files
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import TUNABLE, searches, split_name, without_tuned
from medsam_exp.config.tuned import studies_in_use
from medsam_exp.data.tables import csv_text
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime import distributed
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.json_text import json_text
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import Dataset, UserError

FILE = "learnt_from.json"
"""In the folder of a stage that learns: of which images."""
SHARED = "shared_images.csv"
"""In the folder of a run that was refused; `data.exclude` takes it."""
RANDOM = "random"
"""In place of weights: none yet."""
TRUE_MASKS, METHOD_MASKS = "true masks", "masks that a method made"
FOLDER_MASKS, CAPTIONS = "masks of a folder", "captions"
"""Teachers of a network."""
_TEACHERS = {"zero_shot": METHOD_MASKS, "folder": FOLDER_MASKS, "ground_truth": TRUE_MASKS}
_ABOVE = 6  # folders above a file of weights in which FILE is looked for; nnU-Net's checkpoints lie deepest
_SHOWN = 3


@dataclass(frozen=True)
class Images:
    """Images by what identifies their pixels.

    Attributes:
        key: configuration key that they come from.
        said: which they are, in words: "train_data (breast_tumors, train)".
        identities: by the image's own id.
        split: theirs, as `data.exclude` names it.
        dataset: that they are of, as `dataset_name` has it; "" where it is not recorded, or of pairs.
    """

    key: str
    said: str
    identities: Mapping[str, str]
    split: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Learnt:
    """What a stage learnt from.

    Attributes:
        stage: that learnt.
        images: of which.
        group: config group of the weights or tuned numbers that hold it; "" where this run's own stage learns.
        file: of an earlier run's weights or search; "" likewise.
        from_scratch: whether the weights were random before, so that they know nothing else.
        teacher: what it learnt from besides images: one of `TRUE_MASKS`, `METHOD_MASKS`, `FOLDER_MASKS`, `CAPTIONS`;
            "" of a stage that trains no network, and of records of old.
    """

    stage: str
    images: Images
    group: str = ""
    file: str = ""
    from_scratch: bool = False
    teacher: str = ""


def refuse_learnt_images(
    cfg: DictConfig, plan: Plan, run_dir: Path, scored_later: Dataset | None
) -> list[Learnt]:
    """Stop before anything is computed where a stage would measure on images that were learnt from before it.

    Args:
        cfg: a checked configuration.
        plan: with all stages planned.
        run_dir: the run's folder; images that are refused are listed there.
        scored_later: images that the numbers of a search are meant for.

    Returns:
        What the run learns from and what its weights did, for `remember`.

    Raises:
        UserError: images are shared.
    """
    images_of = cache(partial(_images_of, cfg, plan))
    learnt = list(learnt_earlier(cfg, plan))
    for name in plan.artifacts:
        for source in learnt:
            _refuse_shared(cfg, name, images_of(STAGES[name].measures), source, run_dir)
        if images := images_of(plan.rows[name].learns_from):
            random = _starts_random(cfg, STAGES[name].trains)
            learnt.append(Learnt(name, images, from_scratch=random, teacher=_teacher(plan, name)))
            if scored_later is not None:
                later = _of_dataset("data", scored_later)
                _refuse_shared(cfg, "a later run", later, learnt[-1], run_dir)
    return learnt


def remember(plan: Plan, learnt: Sequence[Learnt]) -> None:
    """Leave in the folder of each stage that learns what goes into its weights."""
    for name, artifacts in plan.artifacts.items():
        path = artifacts.folder / FILE
        if plan.rows[name].learns_from and distributed.rank() == 0:
            within = [asdict(each) for each in learnt if _is_within(each, name, plan)]
            content = json_text(within).encode()
            if not path.is_file() or path.read_bytes() != content:  # the latter where it was damaged
                write_atomically(path, content)


def datasets_of(plan: Plan) -> dict[str, Dataset]:
    """The datasets of a run by configuration key, those of its stages' other images, too."""
    keys = {STAGES[name].auxiliary: name for name in plan.artifacts}
    found = {"data": plan.dataset} | {key: plan.auxiliary(name).dataset for key, name in keys.items() if key}
    return {key: dataset for key, dataset in found.items() if dataset is not None}


def learnt_earlier(cfg: DictConfig, plan: Plan) -> Iterator[Learnt]:
    """What weights and numbers of earlier runs learnt from, as far as those runs left it beside them."""
    used = set[str]().union(*(stages_below(plan, name) for name in plan.artifacts))
    for group in dict.fromkeys(
        group for name in STAGES if name in used for group in stage_row(cfg, name).weights
    ):
        yield from learnt_by_weights(cfg, group)
    (search,) = (name for name, stage in STAGES.items() if stage.runs_trials)
    for group, study in studies_in_use(cfg):
        yield from _read(Path(cfg.paths.artifacts) / search / study / FILE, group)


def learnt_by_weights(cfg: DictConfig, group: str) -> Iterator[Learnt]:
    """What the weights of a config group learnt from, as far as a record lies beside them."""
    for path in weight_files(cfg[group]):
        above = (folder / FILE for folder in path.resolve().parents[:_ABOVE])
        records = (path.resolve().with_suffix(f".{FILE}"), *above)
        yield from _read(next((record for record in records if record.is_file()), None), group)


def dataset_name(dataset: Dataset, node: DictConfig | None) -> str:
    """A dataset's name, or its folder, where the name is that of any folder."""
    root = None if node is None or dataset.name != "folder" else node.get("root")
    return dataset.name if root is None else str(Path(root).expanduser().resolve())


def _images_of(cfg: DictConfig, plan: Plan, key: str | None) -> Images | None:
    """The images of a stage's `learns_from` or `measures`; None where there are none of them."""
    key = f"pairs.{cfg.retrieval.part}" if key == "pairs" else key
    if key is None:
        return None
    if key.startswith("pairs."):
        part = plan.objects.to_plan_with("pairs").get(key.removeprefix("pairs."))
        if part is None:  # the stage itself says what is missing
            return None
        return Images(key, key, {pair_id: part.identity(pair_id) for pair_id in part.ids}, key)
    dataset = datasets_of(plan).get(key)
    if key != "data":
        return _of_dataset(key, dataset, auxiliary_data(cfg, key))
    return _of_dataset("search.data" if searches(cfg) else key, dataset, cfg.data)


def _of_dataset(key: str, dataset: Dataset | None, node: DictConfig | None = None) -> Images | None:
    if dataset is None:
        return None
    identities = {sample.image: dataset.identity(sample.id) for sample in dataset.samples}
    split = dataset.split if node is None else split_name(node)
    said = f"{key} ({dataset.name}, {split})"
    return Images(key, said, identities, dataset.split, dataset_name(dataset, node))


def _refuse_shared(
    cfg: DictConfig, stage: str, measured: Images | None, source: Learnt, run_dir: Path
) -> None:
    if measured is None:
        return
    learnt = {identity: name for name, identity in source.images.identities.items()}
    shared = [(name, learnt[own]) for name, own in measured.identities.items() if own in learnt]
    if not shared:
        return
    listed = run_dir / SHARED
    if distributed.rank() == 0:
        rows = ((name, measured.split, source.images.key, other) for name, other in shared)
        write_atomically(listed, csv_text(("name", "split", "learnt_from", "as"), rows).encode())
    first = ", ".join(name if name == other else f"{name} = {other}" for name, other in shared[:_SHOWN])
    more = f", ...; all stand in {listed}" if len(shared) > _SHOWN else ""
    all_of_them = len(shared) == len(measured.identities)
    by = f"{source.stage} of an earlier run ({source.file})" if source.file else source.stage
    raise UserError(
        f"{len(shared)} of the {len(measured.identities)} images of {measured.said}, which {stage} "
        f"measures on, are among those of {source.images.said}, which {by} learns from (first: "
        f"{first}{more}): {_mend(cfg, measured, source, listed, all_of_them=all_of_them)}"
    )


def _mend(cfg: DictConfig, measured: Images, source: Learnt, listed: Path, *, all_of_them: bool) -> str:
    if source.file:
        tuned = source.group in TUNABLE
        wanted = without_tuned(source.group) if tuned else f"other weights of {source.group}"
        return f"measure on images that it has not seen, or use {wanted}"
    key = source.images.key
    if key == "data":
        return "learn from others, in a run of its own"
    if key == "search.data":
        return _mend_search(cfg, measured, listed, all_of_them=all_of_them)
    if key == "pairs.train":
        drawn = "seed" in cfg.pairs.train
        return "learn from other pairs" + (
            f", as in {key}.seed={_other_seed(cfg)}"
            if drawn
            else f": take their rows out of {cfg.pairs.train.get('file', 'the file')}, or measure on others"
        )
    if "seed" in auxiliary_data(cfg, key):
        return f"learn from others, as in ++{key}.seed={_other_seed(cfg)}"
    if measured.key != "data" or all_of_them:
        return f"learn from others, as in ++{key}.split=" + ("val" if key == "calibration_data" else "train")
    return f"take another split, or leave them out with data.exclude={listed}"


def _mend_search(cfg: DictConfig, later: Images, listed: Path, *, all_of_them: bool) -> str:
    """What to do where numbers would be searched on images that they are meant for; `cfg` is the search's own."""
    if "seed" in cfg.data:
        return f"tune on others, as in ++search.data.seed={_other_seed(cfg)}"
    free = [name for name in ("val", "train") if name not in (cfg.data.get("split"), later.split)]
    another = f"tune on others, as in ++search.data.split={free[0]}" if free else "tune on others"
    excluded = (
        "" if all_of_them else f", or leave them out, here and in later runs, with data.exclude={listed}"
    )
    return another + excluded


def _other_seed(cfg: DictConfig) -> int:
    """The smallest from 5 on that nothing of the run is drawn with."""
    nodes = (cfg.data, *cfg.pairs.values(), cfg.train_data, cfg.calibration_data, cfg.search.data)
    taken = {node.get("seed") for node in nodes if node is not None}
    return next(seed for seed in count(5) if seed not in taken)


def _teacher(plan: Plan, name: str) -> str:
    """What a stage that learns has besides images; "" of one that trains no network."""
    stage = STAGES[name]
    if stage.makes_labels:
        return _TEACHERS[label_source(plan.cfg, name)]
    labels = [parent for parent in plan.parents(name) if STAGES[parent].makes_labels]
    if stage.trains and labels:
        return _teacher(plan, labels[0])
    if stage.trains:
        return TRUE_MASKS if stage.ground_truth else CAPTIONS
    return ""


def _is_within(learnt: Learnt, stage: str, plan: Plan) -> bool:
    """Whether what was learnt goes into what a stage learns."""
    below = stages_below(plan, stage)
    groups = {group for name in below for group in stage_row(plan.cfg, name).reads}
    return learnt.group in groups if learnt.group else learnt.stage in below


def stages_below(plan: Plan, stage: str) -> set[str]:
    """A stage and all that it builds on, of its other images, too."""
    found = {stage}.union(*(stages_below(plan, parent) for parent in plan.parents(stage)))
    if STAGES[stage].auxiliary:
        other = plan.auxiliary(stage)
        found.update(*(stages_below(other, made) for made in other.artifacts))
    return found


def _starts_random(cfg: DictConfig, group: str | None) -> bool:
    """Whether the network that a stage trains has random weights before; files that only describe it do not count."""
    return group is not None and RANDOM in (cfg[group].get("weights"), cfg[group].get("checkpoint"))


def _read(record: Path | None, group: str) -> Iterator[Learnt]:
    """What a stage left in its folder, or beside a file of weights.

    Raises:
        UserError: the file is damaged.
    """
    if record is None or not record.is_file():
        return
    try:
        found = TypeAdapter(list[Learnt]).validate_json(record.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{record} cannot be read ({type(error).__name__}), so nobody knows which images these weights have "
            "seen: remove it if you know that they are not scored, or train anew"
        ) from error
    yield from (replace(each, group=group, file=str(record.parent)) for each in found)
