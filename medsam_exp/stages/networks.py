"""The networks of a run: as published, or as an earlier stage of the same run has trained them."""

from pathlib import Path
from typing import TYPE_CHECKING

from medsam_exp.stages.context import StageContext
from medsam_exp.stages.pipeline import STAGES
from medsam_exp.stages.trained_files import trained_results

if TYPE_CHECKING:
    from medsam_exp.clip.model import ClipModel
    from medsam_exp.sam.promptable import PromptableModel
    from medsam_exp.text_segmenter.segmenter import TextSegmenter


def _trained_network(context: StageContext, group: str) -> Path | None:
    """File or folder of the network of a config group that the run has trained; None where it trains none."""
    for name, artifacts in context.parents.items():
        if STAGES[name].trains == group:
            return trained_results(artifacts)
    return None


def _trained_clip(context: StageContext) -> dict[str, str | None]:
    """Arguments that load the CLIP that the run has fine-tuned; none where it has not."""
    tuned = _trained_network(context, "clip")
    return {"model": str(tuned), "weights": None} if tuned else {}


def _trained_sam(context: StageContext) -> dict[str, str]:
    """Arguments that load the SAM that the run has trained; none where it has not."""
    trained = _trained_network(context, "sam")
    return {"checkpoint": str(trained)} if trained else {}


def clip_of_run(context: StageContext) -> "ClipModel":
    """The CLIP model of the run, fine-tuned where that stage is part of it."""
    model: ClipModel = context.build("clip", **_trained_clip(context))
    return model


def sam_of_run(context: StageContext) -> "PromptableModel":
    """The SAM of the run, trained where that stage is part of it."""
    model: PromptableModel = context.build("sam", **_trained_sam(context))
    return model


def text_segmenter_of_run(context: StageContext) -> "TextSegmenter":
    """The text-prompted segmenter of the run; a SAM or CLIP within it is the run's, trained where a stage does so."""
    within = {"sam": _trained_sam(context), "clip": _trained_clip(context)}
    changed = {group: arguments for group, arguments in within.items() if arguments}
    model: TextSegmenter = context.build("text_segmenter", **changed)
    return model
