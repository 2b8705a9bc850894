"""How a run's masks are supervised: what the networks behind them were trained on, as far as anybody recorded it.

Facts come from three places: what this run's own stages learn from, the records that earlier runs left beside weights
(`medsam_exp.engine.leakage`), and what the publishers of networks say (`training_data.yaml`). Nothing is guessed: a
network without a record is unknown, and masks are called zero-shot only where every network behind them has one.
Settings that were chosen with masks are no training; the run's summary declares them under `ground_truth_used_for`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.build import nested_weight_files
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.data.phantom import DRAWN
from medsam_exp.engine.leakage import (
    CAPTIONS,
    METHOD_MASKS,
    RANDOM,
    TRUE_MASKS,
    Learnt,
    dataset_name,
    learnt_by_weights,
    stages_below,
)
from medsam_exp.engine.plan import Plan
from medsam_exp.engine.training_data import Training, published_datasets, training_data
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.stages.pipeline import STAGES, mask_stages

Mark = Literal["zero-shot", "weakly supervised", "unknown", "supervised", "trained on this dataset"]
MARKS: tuple[Mark, ...] = (
    "zero-shot",
    "weakly supervised",
    "unknown",
    "supervised",
    "trained on this dataset",
)
"""Of several facts the last of these counts."""
_NETWORKS = {
    "clip": "CLIP",
    "sam": "SAM",
    "text_segmenter": "text segmenter",
    "saliency": "network of the saliency method",
    "presence": "network of the presence score",
    "ensemble": "nnU-Net",
}
"""Config groups that load networks, as readers call them."""
_BY_TEACHER: dict[str, Mark] = {
    TRUE_MASKS: "supervised",
    METHOD_MASKS: "weakly supervised",
    CAPTIONS: "zero-shot",
}
_RECORDED = ("clip", "sam", "ensemble")
"""Those that this project trains."""
_FILES = ("model", "weights", "checkpoint", "architecture")
"""Settings that say which network a node loads."""


@dataclass(frozen=True)
class Seen:
    """One fact about what a network had seen.

    Attributes:
        mark: what it makes of the masks.
        sentence: the fact, in words.
    """

    mark: Mark
    sentence: str


def supervision(
    plan: Plan, learnt: Sequence[Learnt], choices: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """How the maps and masks of a run are supervised.

    Args:
        plan: of the run.
        learnt: what its own stages learn from.
        choices: chosen option of each config group.

    Returns:
        By label ("coarse", "sam"), JSON-able: `mark`, one of `MARKS`; `because`, the facts that decide it;
        `besides`, the others.
    """
    labels = {"saliency": "saliency", **mask_stages()}
    found = {
        label: _facts(plan, stage, learnt, choices)
        for stage, label in labels.items()
        if stage in plan.artifacts
    }
    return {label: marked(facts) for label, facts in found.items()}


def marked(facts: Sequence[Seen]) -> dict[str, Any]:
    """The mark that facts lead to, with those that decide it and the others."""
    mark = max((fact.mark for fact in facts), key=MARKS.index, default=MARKS[0])
    decide, others = (
        [fact.sentence for fact in dict.fromkeys(facts) if (fact.mark == mark) is decides]
        for decides in (True, False)
    )
    return {"mark": mark, "because": decide or ["no network is behind it"], "besides": others}


def seen_in(training: Training, datasets: Sequence[str]) -> Mark:
    """What a published training makes of masks.

    Args:
        training: of a network.
        datasets: names of the published datasets that the run's images are of; none where nobody knows.
    """
    if set(training.datasets) & set(datasets):
        return "trained on this dataset"
    if training.domain != "medical":
        return "unknown" if training.domain == "unknown" else "zero-shot"
    if training.kind in ("masks", "boxes"):
        return "supervised"
    return "zero-shot" if training.complete else "unknown"


def _facts(plan: Plan, stage: str, learnt: Sequence[Learnt], choices: Mapping[str, str]) -> list[Seen]:
    below = stages_below(plan, stage)
    rows = [stage_row(plan.cfg, name) for name in below]
    own = [each for each in learnt if not each.file and each.stage in below and _teaches(each)]
    facts = [_in_this_run(plan, each) for each in own]
    used = {group for row in rows for group in row.weights if plan.cfg.get(group) is not None}
    used |= {group for row in rows for group in row.nested_weights if nested_weight_files(plan.cfg[group])}
    for group in tuple(used):
        entry = training_data().get(group, {}).get(choices.get(group, ""))
        used |= set(entry.holds) if entry else set()
    for group in (name for name in _NETWORKS if name in used):
        facts += _of_network(plan, group, choices.get(group, ""))
    return facts


def _teaches(learnt: Learnt) -> bool:
    """Whether a stage's images decide a network's weights, which those of a training on labels do by the labels."""
    return bool(learnt.teacher) and STAGES[learnt.stage].supervision == "none"


def _in_this_run(plan: Plan, learnt: Learnt) -> Seen:
    """What a stage of the run learns from."""
    name = _NETWORKS[STAGES[learnt.stage].trains or "ensemble"]
    sentence = f"{name} learnt in this run from {learnt.teacher} of {learnt.images.said}"
    if learnt.teacher == CAPTIONS and _is_of(plan, learnt):
        return Seen("trained on this dataset", sentence)
    return Seen(_by_teacher(plan, learnt, learnt.teacher), sentence)


def _by_teacher(plan: Plan, learnt: Learnt, teacher: str) -> Mark:
    """What a teacher makes of masks; scans that were drawn are no medical images where others are scored."""
    if _is_drawn(learnt) and not _is_of(plan, learnt):
        return "zero-shot"
    return _BY_TEACHER.get(teacher, "unknown")


def _of_network(plan: Plan, group: str, choice: str) -> Iterator[Seen]:
    """What a network had seen before this run, by its record or its publishers."""
    node, name = plan.cfg[group], f"{_NETWORKS[group]} ({choice or group})"
    if RANDOM in (node.get("weights"), node.get("checkpoint")):
        yield Seen("zero-shot", f"{name} starts with random weights")
        return
    if group == "ensemble" and node.get("results") is None:
        return  # the run's own training
    if group == "presence" and node.get("model") is None:
        return  # it has no network of its own
    records = list(learnt_by_weights(plan.cfg, group)) if group in _RECORDED else []
    if records:
        yield from map(partial(_recorded, plan, name), records)
        yield from _not_recorded(name, records, group)
        return
    entry = training_data().get(group, {}).get(choice)
    if entry is None or not _is_published(plan.cfg, group, choice):
        yield Seen("unknown", f"{name}: there is no record of its training data")
        return
    if entry.why:
        yield Seen("unknown", f"{name}: {entry.why}")
    datasets = published_datasets().get(str(plan.cfg.data.get("name")), ())
    yield from (_as_published(name, training, datasets) for training in entry.trainings)


def _not_recorded(name: str, records: Sequence[Learnt], group: str) -> Iterator[Seen]:
    """What records beside weights leave open."""
    if group == "ensemble":
        if any(record.teacher == METHOD_MASKS for record in records):
            yield Seen("unknown", f"{name}: which networks made its labels is not recorded")
    elif not any(record.from_scratch for record in records):
        yield Seen("unknown", f"{name}: what it was started from is not recorded")


def _recorded(plan: Plan, name: str, learnt: Learnt) -> Seen:
    """What a record beside weights says."""
    teacher = learnt.teacher or _usual_teacher(learnt.stage)
    of = learnt.images.said.removeprefix(f"{learnt.images.key} (").removesuffix(")")  # its key is of that run
    taught = f"{name} learnt from {teacher or 'labels'} of {of}"
    if _is_of(plan, learnt):
        more = "of the generator that drew these scans" if _is_drawn(learnt) else "of this dataset"
        return Seen("trained on this dataset", f"{taught}, {more}")
    if not learnt.images.dataset and not _is_drawn(learnt):
        unsure: Mark = "unknown" if teacher == CAPTIONS else "supervised"
        return Seen(unsure, f"{taught}, whose dataset is not recorded")
    return Seen(_by_teacher(plan, learnt, teacher), taught)


def _usual_teacher(stage: str) -> str:
    """Of a record of old, which does not name it; "" where the run's labels may have been any."""
    row = STAGES.get(stage)
    if row is None or row.makes_labels or row.supervision != "none":
        return ""
    return TRUE_MASKS if row.ground_truth else CAPTIONS


def _as_published(name: str, training: Training, datasets: Sequence[str]) -> Seen:
    mark = seen_in(training, datasets)
    possible = training.domain == "medical" and not training.complete and mark != "trained on this dataset"
    doubt = {
        True: "; whether this dataset is among them is not recorded",
        False: "; whether medical images are among them is not said" if training.domain == "unknown" else "",
    }[possible]
    among = (
        f", {', '.join(sorted(set(training.datasets) & set(datasets)))} among them"
        if mark == MARKS[-1]
        else ""
    )
    return Seen(
        mark, f"{name} was trained on {training.of} with {training.kind}{among}{doubt} ({training.source})"
    )


def _is_of(plan: Plan, learnt: Learnt) -> bool:
    """Whether what was learnt from is of the dataset that the run works on; drawn scans are one dataset."""
    if plan.dataset is None:
        return False
    first = next((plan.dataset.identity(sample.id) for sample in plan.dataset.samples), "")
    if first.startswith(DRAWN):
        return any(identity.startswith(DRAWN) for identity in learnt.images.identities.values())
    return bool(learnt.images.dataset) and learnt.images.dataset == dataset_name(plan.dataset, plan.cfg.data)


def _is_drawn(learnt: Learnt) -> bool:
    return all(identity.startswith(DRAWN) for identity in learnt.images.identities.values())


def _is_published(cfg: DictConfig, group: str, choice: str) -> bool:
    """Whether a group's network is the one that its choice names, by the settings that say which files are loaded."""
    path = conf_folder() / group / f"{choice}.yaml"
    if not path.is_file():
        return False
    usual: Any = OmegaConf.load(path)
    paths = OmegaConf.to_container(cfg.paths, resolve=True)
    whole = OmegaConf.create({"paths": paths, "seed": cfg.get("seed"), group: usual})
    return all(
        _is_same(usual._get_node(key), OmegaConf.select(whole, f"{group}.{key}"), cfg[group].get(key))
        for key in _FILES
        if key in usual
    )


def _is_same(written: Any, usual: Any, own: Any) -> bool:
    """Whether a setting names the choice's own file, which may lie elsewhere under its name.

    Args:
        written: in the choice's file, with its interpolations.
        usual: the same, resolved.
        own: of the run.
    """
    if usual == own:
        return True
    if not (isinstance(usual, str) and isinstance(own, str) and "/" in own):
        return False
    return Path(own).name == Path(usual).name or own in str(written)
