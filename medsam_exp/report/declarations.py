"""What a run's summary declares: what read true masks or class labels, and of which images."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from medsam_exp.config.auxiliary_images import auxiliary_data
from medsam_exp.config.trials import split_name
from medsam_exp.config.tuned import tuned_uses
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.leakage import datasets_of
from medsam_exp.report.topics.grounding import presence_truth_uses
from medsam_exp.report.topics.weak import label_truth_uses
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import FolderSplit


def truth_uses(
    engine: Engine, cfg: DictConfig, texts_tell: str, labels: Mapping[str, Any], *, by_class: bool
) -> list[str]:
    """Who read ground truth or class labels in this run, and of which split; one sentence each.

    Args:
        engine: with all stages run.
        cfg: of the run.
        texts_tell: what texts give away of what images truly show; "" for nothing.
        labels: results of `weak_label_results`.
        by_class: whether scores are broken down by class.
    """
    split = _said(cfg.data)
    uses = [
        f"{name}: {row.ground_truth} ({_split_of_stage(cfg, name)})"
        for name, row in engine.plan.rows.items()
        if row.ground_truth
    ]
    uses += tuned_uses(cfg)
    if texts_tell:
        uses.append(f"text: oracle, {texts_tell} ({split})")
    if by_class:
        uses.append(f"by_class: scores broken down by class label ({split})")
    uses += presence_truth_uses(engine, cfg, split)
    if "evaluate" in engine.artifacts:
        uses.append(f"report: choice of the cases shown, pictures beside the prediction ({split})")
    return uses + _data_uses(engine, cfg) + label_truth_uses(labels, texts_tell=texts_tell)


def _data_uses(engine: Engine, cfg: DictConfig) -> list[str]:
    """What reading folders did with masks."""
    folders = {
        key: dataset
        for key, dataset in datasets_of(engine.plan).items()
        if isinstance(dataset, FolderSplit) and dataset.has_ground_truth
    }
    uses = [
        f"{key}: {sentence} ({dataset.name}, {dataset.split})"
        for key, dataset in folders.items()
        for sentence in dataset.chosen_by_masks
    ]
    if "data" in folders:
        only = "" if folders["data"].chosen_by_masks else ", nothing else"
        uses.append(f"data checks: faults of masks{only} ({cfg.data.name}, every split)")
    return uses


def _split_of_stage(cfg: DictConfig, name: str) -> str:
    """The images whose masks a stage reads: the run's own, or others."""
    key = STAGES[name].auxiliary
    return _said(auxiliary_data(cfg, key) if key else cfg.data)


def _said(data: DictConfig) -> str:
    return f"{data.name}, {split_name(data)}"
