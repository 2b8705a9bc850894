"""The whole pipeline on one screen: stage name -> what runs, what it builds on, which config groups it reads.

    pairs -> finetune_clip -> CLIP weights -+---> retrieval (how well texts find images, and images texts)
    data + text ----------------------------+-> saliency -> coarse_mask -> sam_mask -> evaluate
                                            |    |  |  |     sam_embedding -^ (spares it the encoder)
                                            |    |  |  `-> presence -^ (veto) -> calibrate
                                            |    |  `----> faithfulness (does the salient part match the text?)
                                            |    `-------> control_maps -> grounding (does the text matter?)
                                            `-> text_saliency (which words does the image ask for?)
                                               tune runs saliency to evaluate on a split of its own, again and again
    the same up to sam_mask, on train_data -> weak_label -> train_nnunet -> nnunet_single, nnunet_ensemble -> evaluate
                      true masks of train_data -> reference_label -> train_reference -> reference_... -> evaluate
                                               calibrate_ensemble (on calibration_data) -^   uncertainty (of what use?)

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
        helpers: stages whose results spare work when they are part of the run, and change no result.
        parents_if: stages whose results are used when they are part of the run and this configuration key is set.
        weights: those of `reads` that load a network; their files' checksums enter the key.
        processes: which processes of a job with several devices run it.
        ground_truth: why it reads ground truth, for the run's summary; None when it cannot.
        works_on: single samples of the dataset with their texts, its images whatever is asked of them, all samples
            as a whole ("split"), a training set as a whole, or only what its parents and its other images give
            ("parents").
        other_images: configuration key of the images, other than the run's own, that it works on.
        learns_from: configuration key of the images that it trains, tunes or calibrates with; no later stage of the
            run may measure on one of them (`medsam_exp.engine.firewall`). Every stage that chooses a number or a
            weight by images says so here.
        measures: configuration key of the images that it scores, or chooses numbers by; nothing before it may have
            learnt from one of them.
        module: of `stages`, where it is not named as the stage; several stages may be made by one.
        runs_trials: whether it tries the pipeline under other values; the pipeline's key then enters its own.
        gives_scores: each sample's record has `scores`, what is scored -> measure -> number, for the summary.
        version: of its code.
    """

    reads: tuple[str, ...]
    parents: tuple[str, ...] = ()
    any_parent: tuple[str, ...] = ()
    optional_parents: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    parents_if: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    processes: Literal["first", "all"] = "first"
    ground_truth: str | None = None
    works_on: Literal["samples", "images", "split", "pairs", "dataset", "parents"] = "samples"
    other_images: str | None = None
    learns_from: str | None = None
    measures: str | None = None
    module: str | None = None
    runs_trials: bool = False
    gives_scores: bool = False
    version: int = 1


STAGES: dict[str, Stage] = {
    "finetune_clip": Stage(
        reads=("clip", "pairs", "loss", "adaptation", "optimizer", "scheduler", "fit", "seed"),
        weights=("clip",),
        processes="all",
        works_on="pairs",
        learns_from="pairs.train",
        version=2,
    ),
    "retrieval": Stage(
        reads=("clip", "pairs", "retrieval", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        works_on="pairs",
        measures="pairs",
        version=2,
    ),
    "train_sam": Stage(
        reads=("sam", "optimizer", "scheduler", "fit", "seed"),
        weights=("sam",),
        processes="all",
        ground_truth="training SAM on prompts made from true masks",
        works_on="parents",
        other_images="train_data",
        learns_from="train_data",
        version=2,
    ),
    "saliency": Stage(
        reads=("clip", "saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        version=3,
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
        learns_from="data",
        measures="data",
    ),
    "coarse_mask": Stage(
        reads=("postprocess", "component_filter", "veto"),
        parents=("saliency",),
        parents_if={"presence": "veto.threshold"},
        version=2,
    ),
    "faithfulness": Stage(
        reads=("clip",),
        parents=("saliency",),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        measures="data",
        gives_scores=True,
    ),
    "text_saliency": Stage(
        reads=("clip", "text_saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        version=2,
    ),
    "sam_embedding": Stage(
        reads=("sam", "sam_embedding"),
        optional_parents=("train_sam",),
        weights=("sam",),
        processes="all",
        works_on="images",
    ),
    "sam_mask": Stage(
        reads=("prompt", "sam", "fusion", "mask_filter", "seed"),
        parents=("saliency", "coarse_mask"),
        optional_parents=("train_sam",),
        helpers=("sam_embedding",),
        weights=("sam",),
        processes="all",
        version=2,
    ),
    "evaluate": Stage(
        reads=("metrics",),
        any_parent=(
            "saliency",
            "coarse_mask",
            "sam_mask",
            "nnunet_single",
            "nnunet_ensemble",
            "reference_single",
            "reference_ensemble",
        ),
        optional_parents=("presence",),
        processes="all",
        ground_truth="scores",
        measures="data",
        gives_scores=True,
    ),
    "tune": Stage(
        reads=("search", "pruner", "seed"),
        processes="all",
        ground_truth="choosing numbers for later runs",
        works_on="split",
        learns_from="data",
        measures="data",
        runs_trials=True,
        version=2,
    ),
    "control_maps": Stage(
        reads=("clip", "saliency", "grounding", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        version=2,
    ),
    "grounding": Stage(
        reads=("clip", "presence", "postprocess", "component_filter", "veto"),
        parents=("saliency", "control_maps"),
        optional_parents=("finetune_clip", "presence"),
        weights=("clip", "presence"),
        processes="all",
        measures="data",
        gives_scores=True,
        version=2,
    ),
}

NOT_IN_KEYS = {
    "nnunet": ("disk_limit_gb", "processes"),
    "sam_embedding": ("disk_limit_gb",),
    "calibrate_ensemble.uncertainty": ("bins",),
}
"""Settings of config groups ("group") that change no result, or not that of one stage ("stage.group")."""


def _nnunet_stages(label: str, train: str, masks: str) -> dict[str, Stage]:
    """From labels to masks by nnU-Net: once for weak labels, once for a reference."""
    predicts = Stage(
        reads=("ensemble",),
        parents=() if label == "weak_label" else (train,),
        optional_parents=(train, "calibrate_ensemble") if label == "weak_label" else (),
        weights=("ensemble",) if label == "weak_label" else (),
        processes="all",
        gives_scores=True,
        module="nnunet_masks",
        version=2,
    )
    return {
        label: Stage(
            reads=(label,),
            processes="all",
            works_on="parents",
            other_images="train_data",
            learns_from="train_data",
            module="weak_label",
        ),
        train: Stage(
            reads=("nnunet", "nnunet_schedule", "seed"),
            parents=(label,),
            processes="all",
            works_on="parents",
            learns_from="train_data",
            module="train_nnunet",
        ),
        f"{masks}_single": predicts,
        f"{masks}_ensemble": predicts,
    }


STAGES |= {
    **_nnunet_stages("weak_label", "train_nnunet", "nnunet"),
    **_nnunet_stages("reference_label", "train_reference", "reference"),
    "calibrate_ensemble": Stage(
        reads=("ensemble", "uncertainty"),
        optional_parents=("train_nnunet",),
        weights=("ensemble",),
        processes="all",
        ground_truth="choosing the ensemble's threshold and temperature",
        works_on="parents",
        other_images="calibration_data",
        learns_from="calibration_data",
        measures="calibration_data",
        version=2,
    ),
    "uncertainty": Stage(
        reads=("uncertainty", "seed"),
        parents=("nnunet_ensemble",),
        optional_parents=("calibrate_ensemble",),
        ground_truth="whether uncertainty tells errors",
        works_on="split",
        measures="data",
        version=2,
    ),
}


MASK_STAGES = {
    "coarse_mask": "coarse",
    "sam_mask": "sam",
    "reference_single": "reference_single",
    "reference_ensemble": "reference",
    "nnunet_single": "weak_single",
    "nnunet_ensemble": "weak",
}
"""Scored stages and the short names their scores carry; of a run's stages the last one's masks are its result."""


def stage_function(name: str) -> "Callable[[StageContext], None]":
    """The function `run` of a stage's module, imported when the stage runs."""
    run: Callable[[StageContext], None] = import_module(
        f"medsam_exp.stages.{STAGES[name].module or name}"
    ).run
    return run
