"""Stage: train nnU-Net on labels, and keep the checkpoints of an ensemble."""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from medsam_exp.nnunet.environment import RAW
from medsam_exp.nnunet.plans import plan_and_preprocess
from medsam_exp.nnunet.raw_dataset import case_name
from medsam_exp.nnunet.settings import NnunetSettings
from medsam_exp.nnunet.training import TrainingParts
from medsam_exp.runtime import distributed
from medsam_exp.runtime.wording import first_line
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.stages.records import LabelRecord, NnunetTrainedRecord
from medsam_exp.stages.trained_files import DAMAGED, checksums_of
from medsam_exp.training.nnunet_data import NnunetDataModule
from medsam_exp.training.nnunet_snapshots import FINAL, Snapshots
from medsam_exp.training.nnunet_training import NnunetModule
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

_GB = 1e9
_BYTES_PER_PARAMETER = 4  # float32
_NAMES = {"weak": "weak", "full": "reference"}
"""Of the trainings by supervision, in logs and curves."""
_READ_LATER = {".pth", ".json"}
"""Endings of what prediction reads; logs may go."""
_FIGURES = {"train/loss": "train_losses", "val/loss": "val_losses", "val/pseudo_dice": "mean_fg_dice"}
"""Figures of an epoch, as nnU-Net calls them."""


def run(context: StageContext) -> None:
    """Plan, preprocess and train each fold; an interrupted training goes on where it was."""
    settings = context.build("nnunet")
    schedule, loss = context.build("nnunet_schedule"), context.build("nnunet_loss")
    folder = context.artifacts.folder
    (labels,) = context.parents.values()
    by_image = labels.record("all", LabelRecord)["weights"]
    weights = {case_name(image_id): weight for image_id, weight in by_image.items()} or None
    log_file = folder / "nnunet.log"
    with distributed.rank_zero_first():
        plans = plan_and_preprocess(folder, labels.folder / RAW, settings, log_file)

    def learning_rate(epoch: int) -> float:
        last = settings.epochs - 1  # Lightning asks for the rate after the last epoch too
        return float(schedule(min(epoch, last), settings.epochs, settings.cycles, settings.learning_rate))

    figures: dict[str, float] = {}
    for number, fold in enumerate(settings.folds):
        parts = TrainingParts(folder, plans, fold, settings, loss, context.seed, log_file)
        if number == 0:
            _check_disk(parts, settings, folder)
        _train(context, parts, weights, settings, learning_rate, f"fold_{fold}")
        # Also of a fold that was finished before an interruption.
        last = {name: parts.history[own][-1] for name, own in _FIGURES.items() if parts.history[own]}
        figures |= {f"fold_{fold}/{name}": value for name, value in last.items()}
    if distributed.rank() == 0:
        results = next((folder / "nnUNet_results").glob("Dataset*/*"))
        record: NnunetTrainedRecord = {
            "results": str(results.relative_to(folder)),
            "files": checksums_of(folder, str(results.relative_to(folder)), _READ_LATER),
            "folds": [str(fold) for fold in settings.folds],
            "snapshots": [epoch + 1 for epoch in settings.kept_epochs],
            "figures": figures,
            "validation": "all" not in settings.folds,
        }
        context.save("all", record)


def _train(
    context: StageContext,
    parts: TrainingParts,
    weights: Mapping[str, float] | None,
    settings: NnunetSettings,
    learning_rate: Callable[[int], float],
    name: str,
) -> None:
    if distributed.rank() == 0:
        if lost := list(parts.results.glob(f"*{DAMAGED}")):  # snapshots come from a whole training alone
            shutil.rmtree(context.artifacts.folder / "checkpoints" / name, ignore_errors=True)
            for path in lost:
                path.unlink()
        parts.write_results_folder()
    data = NnunetDataModule(
        parts.batches(weights),
        settings.iterations,
        settings.validation_iterations,
        context.seed,
        context.workers,
    )
    try:
        context.train(
            NnunetModule(parts, learning_rate),
            data,
            context.artifacts.folder / "checkpoints" / name,
            [Snapshots(parts, settings.kept_epochs)],
            name=f"{_NAMES[STAGES[context.artifacts.stage].supervision]}/{name}",
            max_epochs=settings.epochs,
            gradient_clip_val=settings.gradient_clip,
            limit_val_batches=settings.validation_iterations if parts.has_validation else 0,
        )
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise UserError(
                f"an augmenting process of nnU-Net's died ({first_line(error)}), most often because memory "
                "ran out: lower workers, or nnunet.batch_size; what is trained so far is kept"
            ) from error
        raise


def _check_disk(parts: TrainingParts, settings: NnunetSettings, folder: Path) -> None:
    """Say what the training will write, and refuse when that is too much.

    Raises:
        UserError: it is more than allowed, or than the disk has.
    """
    snapshots, parameters = len(settings.kept_epochs), sum(p.numel() for p in parts.network.parameters())
    # Of each fold: its snapshots, the last one with the optimizer's state, and where the training stands and stood.
    needed = len(settings.folds) * (snapshots + 6) * parameters * _BYTES_PER_PARAMETER / _GB
    free = shutil.disk_usage(folder).free / _GB
    if distributed.rank() == 0:
        log.info(
            "%-12s %d checkpoints of %.1f M parameters will take %.2g GB (free: %.0f GB): %s",
            "nnU-Net",
            len(settings.folds) * (snapshots + 1),
            parameters / 1e6,
            needed,
            free,
            folder,
        )
    if needed > settings.disk_limit_gb:
        raise UserError(
            f"the checkpoints would take {needed:.1f} GB, more than nnunet.disk_limit_gb={settings.disk_limit_gb}; "
            "raise it, or keep fewer snapshots"
        )
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in (".pth", ".ckpt")) / _GB
    if needed - written > free:
        raise UserError(
            f"the checkpoints would take {needed - written:.1f} GB more, but {folder} has only {free:.1f} GB free"
        )


def members_pattern(record: NnunetTrainedRecord) -> str:
    """Which checkpoints of a training are its ensemble."""
    return "checkpoint_epoch_*.pth" if record["snapshots"] else FINAL
