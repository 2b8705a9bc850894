"""Networks that an earlier stage of the same run has trained."""

from typing import Any

from medsam_exp.stages.context import StageContext


def clip_of_run(context: StageContext) -> Any:
    """The CLIP model of the run: freshly fine-tuned weights when that stage is part of it."""
    tuned = context.parents.get("finetune_clip")
    if tuned is None:
        return context.build("clip")
    return context.build("clip", model=str(tuned.folder / "clip"), weights=None)


def sam_of_run(context: StageContext) -> Any:
    """The SAM of the run: freshly trained weights when that stage is part of it."""
    trained = context.parents.get("train_sam")
    if trained is None:
        return context.build("sam")
    return context.build("sam", checkpoint=str(trained.folder / "sam.safetensors"))
