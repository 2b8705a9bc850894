"""The networks of a run: as published, or as an earlier stage of the same run has trained them."""

from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.stages.context import StageContext
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.stages.records import TrainedRecord

if TYPE_CHECKING:
    from medsam_exp.clip.model import ClipModel
    from medsam_exp.sam.promptable import PromptableModel
    from medsam_exp.text_segmenter.segmenter import TextSegmenter


def _trained_network(context: StageContext, group: str) -> Path | None:
    """File or folder of the network of a config group that the run has trained; None where it trains none."""
    for name, artifacts in context.parents.items():
        if STAGES[name].trains == group:
            return artifacts.folder / artifacts.record("all", TrainedRecord)["results"]
    return None


def clip_of_run(context: StageContext) -> "ClipModel":
    """The CLIP model of the run, fine-tuned where that stage is part of it."""
    tuned = _trained_network(context, "clip")
    model: ClipModel = context.build("clip", **({"model": str(tuned), "weights": None} if tuned else {}))
    return model


def sam_of_run(context: StageContext) -> "PromptableModel":
    """The SAM of the run, trained where that stage is part of it."""
    trained = _trained_network(context, "sam")
    model: PromptableModel = context.build("sam", **({"checkpoint": str(trained)} if trained else {}))
    return model


def text_segmenter_of_run(context: StageContext) -> "TextSegmenter":
    """The text-prompted segmenter of the run; a detector's SAM is the run's, trained where that stage is part of it."""
    trained = _trained_network(context, "sam")
    changed = {"sam": {"checkpoint": str(trained)}} if trained else {}
    model: TextSegmenter = context.build("text_segmenter", **changed)
    return model
