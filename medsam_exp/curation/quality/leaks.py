"""What splits of a run's folders share: said in every run, and no ground to train on true masks."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from medsam_exp.config.auxiliary_images import label_source
from medsam_exp.curation.quality.quick_check import Leak, full_check, look_once
from medsam_exp.data.folder import FolderDataset
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.firewall import datasets_of
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.types import UserError


def look_at_data(cfg: DictConfig, engine: Engine, digests: FileDigests) -> dict[Path, tuple[Leak, ...]]:
    """Leaks between the splits of the run's folders, by their root."""
    found: dict[Path, tuple[Leak, ...]] = {}
    for dataset in datasets_of(engine).values():
        if isinstance(dataset, FolderDataset) and dataset.root not in found:
            given = dataset.foreground_values, dataset.exclude, dataset.patient_pattern
            found[dataset.root] = look_once(dataset.root, Path(cfg.paths.artifacts), digests, *given)
    return found


def leak_notes(cfg: DictConfig, leaks: Mapping[Path, tuple[Leak, ...]]) -> list[str]:
    """For the summary, each time."""
    notes = [f"data check: {leak.said}, in {root}" for root, found in leaks.items() for leak in found]
    return [*notes, "allow_leaks=true: these did not stop a training"] if notes and cfg.allow_leaks else notes


def refuse_leaky_training(cfg: DictConfig, engine: Engine, leaks: Mapping[Path, tuple[Leak, ...]]) -> None:
    """Stop before a training on true masks of a split that shares patients or copies with another one.

    Args:
        cfg: a checked configuration.
        engine: with all stages planned.
        leaks: what the data check found, by the dataset's root.

    Raises:
        UserError: there is such a leak, and `allow_leaks` is false.
    """
    for name in engine.artifacts:
        if cfg.allow_leaks or STAGES[name].auxiliary != "train_data" or not _on_masks(cfg, name):
            continue
        trained = engine.auxiliary(name).dataset
        if not isinstance(trained, FolderDataset):
            continue
        root = trained.root
        found = [leak for leak in leaks.get(root, ()) if trained.split in leak.splits]
        scored = engine.dataset
        if scored is not None and getattr(scored, "root", None) == root:  # a leak elsewhere may wait
            found = [leak for leak in found if scored.split in leak.splits]
        if found:
            raise UserError(
                f"{name} would train on {root} ({trained.split}), but the data check found "
                f"{'; '.join(leak.said for leak in found)}: {full_check(root, trained.patient_pattern)} shows "
                "them and writes exclude.csv for data.exclude and groups.csv to split anew, or allow it with "
                "allow_leaks=true"
            )


def _on_masks(cfg: DictConfig, stage: str) -> bool:
    """Whether a stage that makes or trains on labels takes masks that others than this method drew."""
    return stage not in cfg or label_source(cfg, stage) != "zero_shot"
