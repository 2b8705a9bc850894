"""Stage: train a CLIP model on image-text pairs."""

import logging

import torch

from medsam_exp.clip.load import save_clip
from medsam_exp.runtime import distributed
from medsam_exp.runtime.seeding import derive_seed
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.records import TrainedRecord
from medsam_exp.stages.text_truncation import caption_notes
from medsam_exp.stages.trained_files import checksums_of
from medsam_exp.training.clip_data import PairsDataModule
from medsam_exp.training.clip_finetune import ClipFinetuneModule
from medsam_exp.types import UserError

log = logging.getLogger(__name__)

FOLDER = "clip"
"""Where the trained network lies in the stage's folder; open_clip loads it by `local-dir:`."""


def run(context: StageContext) -> None:
    """Train, and leave the network as a folder; an interrupted training goes on at its last epoch."""
    clip, pairs, fit = context.build("clip"), context.build("pairs"), context.build("fit")
    if (train := pairs["train"]) is None:
        raise UserError("finetune_clip trains on pairs.train, but these pairs have none; choose others")
    data = PairsDataModule(
        train,
        pairs["validation"],
        clip.preprocess,
        clip.tokenize,
        batch_size=fit["batch_size"],
        seed=context.seed,
        workers=context.workers,
        smallest_crop=fit["smallest_crop"],
        cache_images=fit["cache_images"],
    )
    said = caption_notes(clip, pairs) if distributed.rank() == 0 else []
    if sitting_out := data.train_size % fit["batch_size"]:
        said.append(f"train: {sitting_out} of {data.train_size} pairs sit out each epoch, others each time")
    for note in said if distributed.rank() == 0 else ():
        log.warning("pairs: %s", note)
    adaptation = context.build("adaptation")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(context.seed, "tuning"))
        adaptation.prepare(clip.network)
    module = ClipFinetuneModule(
        clip,
        context.build("loss"),
        context.build("optimizer"),
        context.build("scheduler"),
        context.seed,
        chunk_size=fit["chunk_size"],
    )
    figures = context.fit(module, data)
    adaptation.finish()
    if distributed.rank() == 0:
        save_clip(clip.cpu(), context.artifacts.folder / FOLDER, torch.float32)
        notes = dict.fromkeys(note for part in pairs.values() if part is not None for note in part.notes)
        record: TrainedRecord = {
            "results": FOLDER,
            "figures": figures,
            "notes": [*notes, *said],
            "files": checksums_of(context.artifacts.folder, FOLDER),
        }
        context.save("all", record)
