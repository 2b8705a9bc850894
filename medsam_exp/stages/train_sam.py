"""Stage: train a (small) SAM on prompts made from the true masks of `train_data`; a declared reader of ground truth."""

from medsam_exp.runtime import distributed
from medsam_exp.sam.load import save_sam
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.records import TrainedRecord
from medsam_exp.stages.trained_files import checksums_of
from medsam_exp.training.sam_data import MaskPromptDataModule
from medsam_exp.training.sam_training import SamTrainingModule

FILE = "sam.safetensors"
"""The trained network in the stage's folder."""


def run(context: StageContext) -> None:
    """Train, and leave the weights; an interrupted training goes on at its last epoch."""
    sam, fit, other = context.build("sam"), context.build("fit"), context.auxiliary
    assert other is not None
    data = MaskPromptDataModule(
        other.dataset,
        sam,
        batch_size=fit["batch_size"],
        seed=context.seed,
        workers=context.workers,
    )
    module = SamTrainingModule(sam, context.build("optimizer"), context.build("scheduler"))
    figures = context.fit(module, data)
    if distributed.rank() == 0:
        save_sam(sam.cpu(), context.artifacts.folder / FILE)
        files = checksums_of(context.artifacts.folder, FILE)
        record: TrainedRecord = {"results": FILE, "figures": figures, "files": files}
        context.save("all", record)
