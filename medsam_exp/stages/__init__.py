"""The whole pipeline on one screen: stage name -> what runs, what it builds on, which config groups it reads.

    pairs -> finetune_clip -> CLIP weights -+---> retrieval (how well texts find images, and images texts)
    data + text ----------------------------+-> saliency -> coarse_mask -> sam_mask -> evaluate
                                            |    |  |  `-> presence -^ (veto) -> calibrate
                                            |    |  `----> faithfulness (does the salient part match the text?)
                                            |    `-------> control_maps -> grounding (does the text matter?)
                                            `-> text_saliency (which words does the image ask for?)
                                               tune runs saliency to evaluate on a split of its own, again and again

Raise a stage's `version` when its code gives other results than before: stored artifacts are then computed anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from medsam_exp.stages.context import StageContext


@dataclass(frozen=True)
class Stage:
    """A row of the pipeline.

    Attributes:
        reads: config groups that decide the result; they enter the artifact key, others cannot be built.
        parents: stages that must come before.
        any_parent: stages of which at least one must come before.
        optional_parents: stages whose results are used when they are part of the run.
        parents_if: stages whose results are used when they are part of the run and this configuration key is set.
        weights: those of `reads` that load a network; their files' checksums enter the key.
        processes: which processes of a job with several devices run it.
        ground_truth: why it reads ground truth, for the run's summary; None when it cannot.
        works_on: single samples of the dataset with their texts, all of them as a whole ("split"), or a training set
            as a whole.
        runs_trials: whether it tries the pipeline under other values; the pipeline's key then enters its own.
        gives_scores: each sample's record has `scores`, what is scored -> measure -> number, for the summary.
        version: of its code.
    """

    reads: tuple[str, ...]
    parents: tuple[str, ...] = ()
    any_parent: tuple[str, ...] = ()
    optional_parents: tuple[str, ...] = ()
    parents_if: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    processes: Literal["first", "all"] = "first"
    ground_truth: str | None = None
    works_on: Literal["samples", "split", "pairs", "dataset"] = "samples"
    runs_trials: bool = False
    gives_scores: bool = False
    version: int = 1


STAGES: dict[str, Stage] = {
    "finetune_clip": Stage(
        reads=("clip", "pairs", "loss", "tuning", "optimizer", "scheduler", "fit", "seed"),
        weights=("clip",),
        processes="all",
        works_on="pairs",
    ),
    "retrieval": Stage(
        reads=("clip", "pairs", "retrieval", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        works_on="pairs",
    ),
    "train_sam": Stage(
        reads=("sam", "optimizer", "scheduler", "fit", "seed"),
        weights=("sam",),
        processes="all",
        ground_truth="training SAM on prompts made from true masks",
        works_on="dataset",
    ),
    "saliency": Stage(
        reads=("clip", "saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        version=2,
    ),
    "presence": Stage(
        reads=("clip", "presence"),
        parents=("saliency",),
        optional_parents=("finetune_clip",),
        weights=("clip", "presence"),
        processes="all",
        gives_scores=True,
    ),
    "calibrate": Stage(
        reads=("calibration", "presence", "seed"),
        parents=("presence",),
        ground_truth="calibrating the presence score",
        works_on="dataset",
    ),
    "coarse_mask": Stage(
        reads=("postprocess", "component_filter", "veto"),
        parents=("saliency",),
        parents_if={"presence": "veto.threshold"},
    ),
    "faithfulness": Stage(
        reads=("clip",),
        parents=("saliency",),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        gives_scores=True,
    ),
    "text_saliency": Stage(
        reads=("clip", "text_saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
    ),
    "sam_mask": Stage(
        reads=("prompt", "sam", "fusion", "mask_filter", "seed"),
        parents=("saliency", "coarse_mask"),
        optional_parents=("train_sam",),
        weights=("sam",),
        processes="all",
    ),
    "evaluate": Stage(
        reads=("metrics",),
        any_parent=("saliency", "coarse_mask", "sam_mask"),
        optional_parents=("presence",),
        processes="all",
        ground_truth="scores",
        gives_scores=True,
    ),
    "tune": Stage(
        reads=("tune", "seed"),
        processes="all",
        ground_truth="choosing numbers for later runs",
        works_on="split",
        runs_trials=True,
    ),
    "control_maps": Stage(
        reads=("clip", "saliency", "grounding", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
    ),
    "grounding": Stage(
        reads=("clip", "presence", "postprocess", "component_filter", "veto"),
        parents=("saliency", "control_maps"),
        optional_parents=("finetune_clip", "presence"),
        weights=("clip", "presence"),
        processes="all",
        gives_scores=True,
    ),
}


def stage_function(name: str) -> "Callable[[StageContext], None]":
    """The function `run` of a stage's module, imported when the stage runs."""
    run: Callable[[StageContext], None] = import_module(f"medsam_exp.stages.{name}").run
    return run
