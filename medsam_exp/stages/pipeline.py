"""The whole pipeline on one screen: stage name -> what runs, what it builds on, which config groups it reads.

    pairs -> finetune_clip -> CLIP weights -+---> retrieval (how well texts find images, and images texts)
    data + text ----------------------------+-> saliency -> coarse_mask -> sam_mask -> evaluate
                                            |    |  |  |     sam_embedding -^ (spares it the encoder)
                                            |    |  |  `-> presence -^ (veto) -> calibrate
                                            |    |  `----> faithfulness (does the salient part match the text?)
                                            |    `-------> control_maps -> grounding (does the text matter?)
                                            |-> text_saliency (which words does the image ask for?)
                                            `-> text_mask (a rival's mask, without saliency) -> evaluate
                                               masks -> text_match, agreement, stability (scores without true masks)
                                               tune runs saliency to a score on a split of its own, again and again
    the same up to sam_mask, on train_data -> weak_label -> train_nnunet -> nnunet_single, nnunet_ensemble -> evaluate
        masks of train_data by an earlier run's nnU-Net -^ (a second round)
                      true masks of train_data -> reference_label -> train_reference -> reference_... -> evaluate
                                               calibrate_ensemble (on calibration_data) -^   uncertainty (of what use?)

Everything that the rest of the package must know of a stage is in its row: what enters its key, what it learns from,
how its masks are named and drawn. A new stage is a module with a function `run(context)` and a row. Stages of other
packages are rows too: `register_stage` adds one, and an installed package names the module that calls it as an entry
point of the group `medsam_exp.stages`, so that every process of a job knows it.

Raise a stage's `version` when its code gives other results than before: stored artifacts are then computed anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from medsam_exp.metrics.measures import MEASURES, Measure
from medsam_exp.runtime.extensions import load_extensions
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from medsam_exp.stages.context import StageContext

_ENTRY_POINTS = "medsam_exp.stages"
"""Group of entry points that name modules which register stages."""
_OTHER_COLOUR = "#999999"
"""Of masks whose stage has no colour."""

Inputs = Literal["samples", "images", "truth", "controls", "pairs", "dataset", "split", "parents"]
"""What a result depends on besides the key's configuration: see `medsam_exp.engine.input_digests`."""
Supervision = Literal["none", "full", "weak"]
"""True masks behind a stage's masks; in this order the later ones are a run's result."""


@dataclass(frozen=True)
class Stage:
    """A row of the pipeline.

    Attributes:
        reads: config groups that decide the result; they enter the artifact key, others cannot be built.
        parents: stages that must come before.
        any_parent: stages of which at least one must come before.
        any_mask: every stage that makes masks counts as one of `any_parent`.
        optional_parents: stages whose results are used when they are part of the run.
        cache_parents: stages whose results spare work when they are part of the run, and change no result.
        conditional_parents: stages whose results are used when they are part of the run and this configuration key is
            set.
        idle: by configuration key, the groups of `reads` and the parents that decide nothing where that key is set.
        weights: those of `reads` that load a network; their files' checksums enter the key.
        nested_weights: those of `reads` whose methods may hold a network; its files' checksums enter the key, if any.
        content_keyed: further groups of `reads` whose files enter the key by their content, not by their paths.
        not_keyed: settings, by group of `reads`, that do not change the result.
        trains: the config group whose network it trains: stages with it among their `optional_parents` take the trained
            network, and no checksums of that group.
        processes: which processes of a job with several devices run it.
        batch_size: images per batch without a setting; None for stages that make no batches of images.
        bears_bf16: whether `trainer.precision=auto` may compute it in bfloat16: a frozen network whose map or mask
            hardly changes, not one that is trained, and no scores, which bfloat16 would round.
        own_precision: configuration key of its precision, where `trainer.precision` does not decide it.
        ground_truth: why it reads ground truth, for the run's summary; None when it cannot.
        judges: whether it only scores results, so that a run on images without true masks does without it.
        scope: what one result is of: single samples of the dataset with their texts, its images whatever is asked of
            them, all samples as a whole ("split"), a training set as a whole, or only what its parents and its
            auxiliary images give ("parents").
        inputs: what decides its samples' digests, where it is not what `scope` says.
        auxiliary: configuration key of the images, other than the run's own, that it works on.
        auxiliary_stages: stages that run on those images: the last always, the others when they are part of the run.
        repeats: whether all stages before it that make masks run on those images, as they do on the run's own.
        learns_from: configuration key of the images that it trains, tunes or calibrates with; no later stage of the
            run may measure on one of them (`medsam_exp.engine.leakage`). Every stage that chooses a number or a
            weight by images says so here.
        measures: configuration key of the images that it scores, or chooses numbers by; nothing before it may have
            learnt from one of them.
        makes_labels: whether its result is a set of labels to train on, made as its own config group says.
        before_labels: whether it may be one of the stages that make masks for labels (`label_stages`).
        label: short name that its masks' scores carry ("coarse" in "coarse/dsc"); "" when it makes no masks.
        title: of its masks or labels, for readers.
        colour: of its masks' outlines and scores.
        supervision: by true masks ("full"), by labels that a method made ("weak") or none.
        single: whether its masks are of the last checkpoint alone, not of an ensemble.
        module: dotted name of the module with its `run`, where that is not the one of its name in this folder.
        runs_trials: whether it tries the pipeline under other values; the pipeline's key then enters its own.
        gives_scores: each sample's record has `scores`, what is scored -> measure -> number, for the summary.
        scores_masks: measures that it gives masks without true ones, so that a search may choose by them: the run's
            masks where `any_mask` is set, else those of its last parent.
        version: of its code.

    Example:
        >>> from medsam_exp import Stage
        >>> Stage(reads=("growth",), parents=("coarse_mask",), module="clinic.grown", label="grown").digests
        'samples'
    """

    reads: tuple[str, ...]
    parents: tuple[str, ...] = ()
    any_parent: tuple[str, ...] = ()
    any_mask: bool = False
    optional_parents: tuple[str, ...] = ()
    cache_parents: tuple[str, ...] = ()
    conditional_parents: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    nested_weights: tuple[str, ...] = ()
    content_keyed: tuple[str, ...] = ()
    not_keyed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trains: str | None = None
    processes: Literal["first", "all"] = "first"
    batch_size: int | None = None
    bears_bf16: bool = False
    own_precision: str | None = None
    ground_truth: str | None = None
    judges: bool = False
    scope: Literal["samples", "images", "split", "pairs", "dataset", "parents"] = "samples"
    inputs: Inputs | None = None
    auxiliary: str | None = None
    auxiliary_stages: tuple[str, ...] = ()
    repeats: bool = False
    learns_from: str | None = None
    measures: str | None = None
    makes_labels: bool = False
    before_labels: bool = False
    label: str = ""
    title: str = ""
    colour: str = _OTHER_COLOUR
    supervision: Supervision = "none"
    single: bool = False
    module: str | None = None
    runs_trials: bool = False
    gives_scores: bool = False
    scores_masks: tuple[str, ...] = ()
    version: int = 1

    @property
    def digests(self) -> Inputs:
        """Which digests tell one result of the stage from the next."""
        return self.inputs or self.scope

    def under(self, is_set: Callable[[str], bool]) -> "Stage":
        """The row without what decides nothing; `is_set` says whether a configuration key has a value."""
        idle = {name for key, names in self.idle.items() if is_set(key) for name in names}

        def left(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if name not in idle)

        return replace(
            self,
            reads=left(self.reads),
            parents=left(self.parents),
            optional_parents=left(self.optional_parents),
            weights=left(self.weights),
        )


STAGES: dict[str, Stage] = {
    "finetune_clip": Stage(
        reads=("clip", "pairs", "loss", "adaptation", "optimizer", "scheduler", "fit", "seed"),
        weights=("clip",),
        processes="all",
        scope="pairs",
        learns_from="pairs.train",
        content_keyed=("pairs",),
        trains="clip",
        before_labels=True,
        version=3,
    ),
    "retrieval": Stage(
        reads=("clip", "pairs", "retrieval", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        scope="pairs",
        measures="pairs",
        content_keyed=("pairs",),
        batch_size=32,
        version=2,
    ),
    "train_sam": Stage(
        reads=("sam", "optimizer", "scheduler", "fit", "seed"),
        weights=("sam",),
        processes="all",
        ground_truth="training SAM on prompts made from true masks",
        scope="parents",
        auxiliary="train_data",
        learns_from="train_data",
        trains="sam",
        version=4,
    ),
    "text_mask": Stage(
        reads=("text_segmenter",),
        conditional_parents={"train_sam": "text_segmenter.sam", "finetune_clip": "text_segmenter.clip"},
        weights=("text_segmenter",),
        processes="all",
        batch_size=4,
        before_labels=True,
        label="text",
        title="Text-prompted mask",
        colour="#882255",
    ),
    "saliency": Stage(
        reads=("clip", "saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        nested_weights=("saliency",),
        processes="all",
        batch_size=8,
        bears_bf16=True,
        before_labels=True,
        version=3,
    ),
    "presence": Stage(
        reads=("clip", "presence"),
        parents=("saliency",),
        optional_parents=("finetune_clip",),
        idle={
            "presence.model": ("clip", "saliency", "finetune_clip")
        },  # a network of its own reads image and text
        weights=("clip", "presence"),
        processes="all",
        gives_scores=True,
        batch_size=32,
        before_labels=True,
    ),
    "calibrate": Stage(
        reads=("calibration", "presence", "seed"),
        parents=("presence",),
        ground_truth="calibrating the presence score",
        scope="dataset",
        learns_from="data",
        measures="data",
        content_keyed=("calibration",),
        inputs="split",
    ),
    "coarse_mask": Stage(
        reads=("postprocess", "component_filter", "veto"),
        parents=("saliency",),
        conditional_parents={"presence": "veto.threshold"},
        processes="all",
        before_labels=True,
        label="coarse",
        title="Coarse mask",
        colour="#56B4E9",
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
        batch_size=8,
    ),
    "text_saliency": Stage(
        reads=("clip", "text_saliency", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        batch_size=8,
        version=2,
    ),
    "sam_embedding": Stage(
        reads=("sam", "sam_embedding"),
        optional_parents=("train_sam",),
        weights=("sam",),
        processes="all",
        scope="images",
        not_keyed={"sam_embedding": ("disk_limit_gb",)},
        batch_size=4,
        bears_bf16=True,
    ),
    "sam_mask": Stage(
        reads=("prompt", "sam", "fusion", "mask_filter", "seed"),
        parents=("saliency", "coarse_mask"),
        optional_parents=("train_sam",),
        cache_parents=("sam_embedding",),
        weights=("sam",),
        processes="all",
        batch_size=4,
        bears_bf16=True,
        before_labels=True,
        label="sam",
        title="SAM mask",
        colour="#E69F00",
        version=2,
    ),
    "evaluate": Stage(
        reads=("metrics",),
        any_parent=("saliency",),
        any_mask=True,
        optional_parents=("presence",),
        processes="all",
        ground_truth="scores",
        measures="data",
        gives_scores=True,
        judges=True,
        inputs="truth",
    ),
    "text_match": Stage(
        reads=("clip", "text_match"),
        any_mask=True,
        optional_parents=("finetune_clip",),
        weights=("clip",),
        processes="all",
        measures="data",
        gives_scores=True,
        scores_masks=("text_match",),
        batch_size=8,
    ),
    "agreement": Stage(
        reads=(),
        parents=("coarse_mask", "sam_mask"),
        processes="all",
        measures="data",
        gives_scores=True,
        scores_masks=("agreement", "expected_iou"),
    ),
    "stability": Stage(
        reads=("augmentation",),
        any_mask=True,
        processes="all",
        auxiliary="augmentation",
        repeats=True,
        measures="data",
        gives_scores=True,
        scores_masks=("stability",),
    ),
    "tune": Stage(
        reads=("search", "pruner", "seed"),
        processes="all",
        ground_truth="choosing numbers for later runs",
        scope="split",
        learns_from="data",
        measures="data",
        runs_trials=True,
        version=2,
    ),
    "control_maps": Stage(
        reads=("clip", "saliency", "grounding", "seed"),
        optional_parents=("finetune_clip",),
        weights=("clip",),
        nested_weights=("saliency",),
        processes="all",
        batch_size=8,
        bears_bf16=True,
        inputs="controls",
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
        batch_size=32,
        inputs="controls",
        version=2,
    ),
}


def _nnunet_stages(label: str, train: str, masks: str, supervision: Supervision) -> dict[str, Stage]:
    """From labels to masks by nnU-Net: once for weak labels, once for a reference."""
    weak = supervision == "weak"
    predicts = Stage(
        reads=("ensemble",),
        parents=() if weak else (train,),
        optional_parents=(train, "calibrate_ensemble") if weak else (),
        weights=("ensemble",) if weak else (),
        processes="all",
        batch_size=16,
        own_precision="ensemble.precision",
        inputs="images",
        gives_scores=True,
        before_labels=weak,
        supervision=supervision,
        module="medsam_exp.stages.nnunet_masks",
        version=2,
    )
    return {
        label: Stage(
            reads=(label, "label_ignore", "label_weight") if weak else (label,),
            content_keyed=(label,),
            processes="all",
            scope="parents",
            auxiliary="train_data",
            learns_from="train_data",
            makes_labels=True,
            title="Weak labels" if weak else "Labels of the reference",
            module="medsam_exp.stages.weak_label",
            version=2,
        ),
        train: Stage(
            reads=("nnunet", "nnunet_schedule", "nnunet_loss", "seed"),
            parents=(label,),
            not_keyed={"nnunet": ("disk_limit_gb", "processes")},
            trains="ensemble",
            processes="all",
            scope="parents",
            learns_from="train_data",
            supervision=supervision,
            module="medsam_exp.stages.train_nnunet",
        ),
        f"{masks}_single": replace(
            predicts,
            label="weak_single" if weak else "reference_single",
            title="nnU-Net, last checkpoint" if weak else "Reference, last checkpoint",
            colour="#CC79A7" if weak else "#0072B2",
            single=True,
        ),
        f"{masks}_ensemble": replace(
            predicts,
            label="weak" if weak else "reference",
            title="nnU-Net, ensemble" if weak else "Reference, ensemble",
            colour="#D55E00" if weak else "#009E73",
        ),
    }


STAGES |= {
    **_nnunet_stages("weak_label", "train_nnunet", "nnunet", "weak"),
    **_nnunet_stages("reference_label", "train_reference", "reference", "full"),
    "calibrate_ensemble": Stage(
        reads=("ensemble", "uncertainty"),
        optional_parents=("train_nnunet",),
        weights=("ensemble",),
        not_keyed={"uncertainty": ("bins",)},
        processes="all",
        ground_truth="choosing the ensemble's threshold and temperature",
        scope="parents",
        auxiliary="calibration_data",
        auxiliary_stages=("weak_label", "train_nnunet", "nnunet_ensemble"),
        learns_from="calibration_data",
        measures="calibration_data",
        version=2,
    ),
    "uncertainty": Stage(
        reads=("uncertainty", "seed"),
        parents=("nnunet_ensemble",),
        optional_parents=("calibrate_ensemble",),
        ground_truth="whether uncertainty tells errors",
        judges=True,
        scope="split",
        measures="data",
        version=2,
    ),
}
"""All stages by name, in the order in which readers see their masks; colours from Okabe and Ito's palette, which
colour-blind readers tell apart."""


def register_stage(name: str, stage: Stage) -> None:
    """Add a stage of another package; call it when a module of that package is imported.

    Args:
        name: as in the configuration's `stages`.
        stage: its row; `module` is the dotted name of the module with its function `run(context)`.

    Raises:
        UserError: the name or the label of its masks is taken, or the row names no module.

    Example:
        >>> from medsam_exp import Stage, UserError, register_stage
        >>> try:
        ...     register_stage("saliency", Stage(reads=(), module="clinic.saliency"))
        ... except UserError as error:
        ...     print(error)
        stage 'saliency' exists already; give the stage another name
    """
    if STAGES.get(name) == stage:
        return
    if name in STAGES:
        raise UserError(f"stage {name!r} exists already; give the stage another name")
    if stage.module is None:
        raise UserError(f"stage {name!r} names no module; give Stage(module=...) the one that has its run")
    if stage.label and stage.label in mask_stages().values():
        raise UserError(f"stage {name!r}: the label {stage.label!r} is taken; give its masks another one")
    STAGES[name] = stage


def stage_function(name: str) -> "Callable[[StageContext], None]":
    """The function `run` of a stage's module, imported when the stage runs."""
    run: Callable[[StageContext], None] = import_module(
        STAGES[name].module or f"medsam_exp.stages.{name}"
    ).run
    return run


def mask_stages() -> dict[str, str]:
    """Stages whose masks are scored, with their labels; of a run's stages the last one's masks are its result."""
    order: tuple[Supervision, ...] = ("none", "full", "weak")
    made = {name: stage for name, stage in STAGES.items() if stage.label}
    return {
        name: stage.label
        for name, stage in sorted(made.items(), key=lambda item: order.index(item[1].supervision))
    }


def readers(names: Iterable[str], *groups: str) -> list[str]:
    """Those of some stages that read one of these config groups; names of no stage are left out."""
    return [name for name in names if name in STAGES and set(groups) & set(STAGES[name].reads)]


def trainers(names: Iterable[str], group: str) -> list[str]:
    """Those of some stages that train the network of a config group; names of no stage are left out."""
    return [name for name in names if name in STAGES and STAGES[name].trains == group]


def possible_parents(name: str) -> tuple[str, ...]:
    """Stages of which one must come before a stage; none for most."""
    stage = STAGES[name]
    return (*stage.any_parent, *mask_stages()) if stage.any_mask else stage.any_parent


def trial_stages(measure: str) -> dict[str, list[str]]:
    """What a trial of a search runs, by the label of the mask that it scores: masks that need no training.

    Args:
        measure: that it scores them by, a name of `MEASURES` or of a row's `scores_masks`.
    """
    scorer = _scorer(measure)
    row, found = STAGES[scorer], {}
    for name, label in mask_stages().items():
        if STAGES[name].supervision == "none" and (row.any_mask or name == row.parents[-1]):
            needed = _with_parents(name)
            found[label] = [*(each for each in STAGES if each in needed), scorer]
    return found


def reads_true_masks(metric: str) -> bool:
    """Whether a search for the best `LABEL/MEASURE` reads true masks."""
    return STAGES[_scorer(metric.partition("/")[2])].ground_truth is not None


def _scorer(measure: str) -> str:
    """The stage that gives masks a measure."""
    without_truth = (name for name, stage in STAGES.items() if measure in stage.scores_masks)
    return next(without_truth, "evaluate")


def _with_parents(name: str) -> set[str]:
    return {name}.union(*(_with_parents(parent) for parent in STAGES[name].parents))


def stage_title(label: str) -> str:
    """A mask's or map's name for readers, by the label that its scores carry."""
    stage = _by_label().get(label)
    return stage.title if stage and stage.title else label.replace("_", " ").capitalize()


def stage_colour(label: str) -> str:
    """A mask's colour in every figure and table, by the label that its scores carry."""
    stage = _by_label().get(label)
    return stage.colour if stage else _OTHER_COLOUR


def stage_place(label: str) -> int:
    """Place among others: zero-shot, weakly supervised, fully supervised; what makes no masks comes first."""
    labels = [*_by_label()]
    return labels.index(label) if label in labels else -1


def scored_labels(metrics: Mapping[str, Any], among: Iterable[Measure] = MEASURES) -> list[str]:
    """Labels of the masks that have one of these scores ("coarse" of "coarse/dsc"), in the order of the pipeline."""
    known = {measure.name for measure in among}
    found = {name.partition("/")[0] for name in metrics if name.partition("/")[2] in known}
    labels = _by_label()
    return [label for label in labels if label in found] + sorted(found - labels.keys())


def _by_label() -> dict[str, Stage]:
    return {stage.label: stage for stage in STAGES.values() if stage.label}


load_extensions(_ENTRY_POINTS)
