"""Stage: fine-tune a CLIP model on image-text pairs."""

from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint

from medsam_exp.clip.load import save_clip
from medsam_exp.lightning.clip_data import PairsDataModule
from medsam_exp.lightning.clip_finetune import ClipFinetuneModule
from medsam_exp.stages.context import StageContext


def run(context: StageContext) -> None:
    """Train, and leave the weights as the folder `clip` that open_clip loads by `local-dir:`."""
