"""What a run will compute: the key of each of its stages, where its results are stored, and what it builds on.

A plan reads images' and weights' checksums, makes no network and computes nothing. Everything that asks about results
without computing them (the checks before a run, its summary and report) works on a plan; `medsam_exp.engine.engine`
computes what is not stored yet.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from sys import intern
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.auxiliary_images import auxiliary_config
from medsam_exp.config.build import build, keyed_values
from medsam_exp.config.stage_rows import stage_row
from medsam_exp.config.trials import trial_config
from medsam_exp.data.kept_images import KeptImages
from medsam_exp.engine.input_digests import auxiliary_digests, input_digests
from medsam_exp.engine.planned_objects import PlannedObjects
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts, stage_key
from medsam_exp.runtime.digests import ChangedFileError, FileDigests
from medsam_exp.stages.auto_precision import AUTO, FULL, stage_precision
from medsam_exp.stages.pipeline import STAGES, Stage, possible_parents
from medsam_exp.stages.records import Scored, Scores
from medsam_exp.types import Dataset, UserError

_USUAL_TRAINER = "pytorch_lightning.Trainer"
"""Any other enters the keys of what CLIP and SAM predict, whose numbers it may change; it leaves trainings alone."""


class Plan:
    """The stages of one configuration over one dataset, with their keys.

    Attributes:
        cfg: the configuration.
        dataset: the images; None when no stage works on samples.
        texts: texts by sample id.
        digests: content hashes of files.
        read_image: an image of the dataset by a sample's id; what it keeps is decoded once for all stages and trials.
        sample_ids: of the dataset.
        objects: what keys were made with.
        rows: of the stages, in the order of the run, as the configuration has them.
        artifacts: stored results by stage, in the order of the run.
        descriptions: what each stage's key stands for.
        precisions: of the Trainer for each stage, and why.

    Args:
        cfg: a checked configuration.
        stages: what to plan, in order; missing weights are named at once.
        dataset: see above.
        texts: see above.
        digests: see above.
        make: makes the objects of the stages' config nodes; a session that keeps its networks gives its own.
        read_image: of another plan over the same dataset; by default one of this plan's own.

    Raises:
        UserError: a file of weights is missing.
    """

    def __init__(
        self,
        cfg: DictConfig,
        stages: list[str],
        dataset: Dataset | None,
        texts: Mapping[str, tuple[str, ...]],
        digests: FileDigests,
        make: Callable[..., Any] = build,
        read_image: KeptImages | None = None,
    ) -> None:
        self.cfg = cfg
        self.dataset = dataset
        self.texts = texts
        self.digests = digests
        self.read_image = KeptImages(dataset, digests) if dataset and read_image is None else read_image
        self.sample_ids = tuple(sample.id for sample in dataset.samples) if dataset else ()
        self.objects = PlannedObjects(cfg, digests, make)
        self.rows = {name: stage_row(cfg, name) for name in stages}
        self.artifacts: dict[str, StageArtifacts] = {}
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.precisions: dict[str, tuple[str, str]] = {}
        self._auxiliary: dict[str, Plan] = {}
        self.inputs = input_digests(cfg, stages, dataset, texts, digests, self.objects)
        for name in stages:
            self.precisions[name] = self._precision(self.rows[name])
            self.descriptions[name] = self._description(name)
            key = stage_key(**self.descriptions[name])
            samples = self.inputs[STAGES[name].digests]
            self.artifacts[name] = StageArtifacts(Path(cfg.paths.artifacts), name, key, samples)
        self.digests.save()

    def keys_in_use(self) -> set[str]:
        """Keys of all artifacts that the run's stages use, those of auxiliary images too."""
        others = (plan.keys_in_use() for plan in self._auxiliary.values())
        return {artifacts.key for artifacts in self.artifacts.values()}.union(*others)

    def parents(self, name: str) -> dict[str, StageArtifacts]:
        """Artifacts of the stages before `name` in the run that it builds on."""
        stage = self.rows[name]
        candidates = [*stage.parents, *possible_parents(name), *stage.optional_parents, *stage.cache_parents]
        candidates += [
            parent
            for parent, key in stage.conditional_parents.items()
            if OmegaConf.select(self.cfg, key) is not None
        ]
        before = list(takewhile(lambda planned: planned != name, self.artifacts))
        return {parent: self.artifacts[parent] for parent in candidates if parent in before}

    def precision_lines(self) -> list[str]:
        """What `trainer.precision=auto` took for the stages that may be computed faster, and why."""
        if self.cfg.trainer.get("precision") != AUTO:
            return []
        stages: dict[tuple[str, str], list[str]] = {}
        for name, taken in self.precisions.items():
            if STAGES[name].bears_bf16:
                stages.setdefault(taken, []).append(name)
        return [f"{', '.join(names)}: {value}, as {why}" for (value, why), names in stages.items()]

    def results_of(self, name: str) -> tuple[str, ...]:
        """Ids of the results that a stage has: of samples, of images, or one of all."""
        scope = STAGES[name].scope
        if scope == "images" and self.dataset is not None:
            return tuple(dict.fromkeys(sample.image for sample in self.dataset.samples))
        return self.sample_ids if scope == "samples" else ("all",)

    def scores(self, sample_ids: Sequence[str]) -> dict[str, Scores]:
        """All scores that stages of this run gave each sample."""
        found: dict[str, Scores] = {sample_id: {} for sample_id in sample_ids}
        for name, artifacts in self.artifacts.items():
            if STAGES[name].gives_scores:
                for own, record in zip(found.values(), artifacts.records(sample_ids, Scored), strict=True):
                    for scored, measures in record["scores"].items():
                        own.setdefault(scored, {}).update(
                            zip(map(intern, measures), measures.values(), strict=True)
                        )
        return found

    def trial(self, values: Mapping[str, Any]) -> "Plan":
        """The plan of a trial: the pipeline with changed values, over the same images."""
        cfg = trial_config(self.cfg, values)
        return Plan(cfg, list(cfg.stages), self.dataset, self.texts, self.digests, read_image=self.read_image)

    def auxiliary(self, name: str) -> "Plan":
        """The plan of the stages that a stage needs over its auxiliary images."""
        if name not in self._auxiliary:
            cfg, stages = auxiliary_config(self.cfg, name)
            read_image = self._reader_of(cfg.data)
            dataset: Dataset = build(cfg.data) if read_image is None else read_image.dataset
            texts = build(cfg.text).bind(dataset.samples) if stages else {}
            plan = Plan(cfg, stages, dataset, texts, self.digests, read_image=read_image)
            self._auxiliary[name] = plan
        return self._auxiliary[name]

    def _reader_of(self, data: DictConfig) -> KeptImages | None:
        """Of an earlier stage whose auxiliary images are the same, because their files are read once."""
        plans = (plan for plan in self._auxiliary.values() if plan.cfg.data == data)
        return next((plan.read_image for plan in plans), None)

    def object_of(self, name: str, group: str, **overrides: Any) -> Any:
        """The object of a group that a stage reads.

        Args:
            name: of the stage.
            group: of the configuration.
            overrides: arguments of the object.

        Raises:
            ChangedFileError: its weights are not those that the stage was planned with.
        """
        made = self.objects.to_work_with(group, **overrides)
        planned = self.descriptions[name]["weights"].get(group)
        nested = group in self.rows[name].nested_weights
        found = self.objects.nested_checksums if nested else self.objects.checksums
        if planned and planned != found(group):  # none where the run trains them itself
            raise ChangedFileError(
                f"the files of {group} were changed while the run was at work; run the same command again"
            )
        return made

    def _description(self, name: str) -> dict[str, Any]:
        """What a key stands for; every process must ask at the same time, as weights may be downloaded."""
        stage = self.rows[name]
        nested = {
            group: sums for group in stage.nested_weights if (sums := self.objects.nested_checksums(group))
        }
        config = {
            group: keyed_values(
                self.cfg[group],
                without_paths=group in (*stage.weights, *stage.content_keyed, *nested),
                without=stage.not_keyed.get(group, ()),
            )
            for group in stage.reads
        }
        if stage.weights or stage.trains:
            config["precision"], _ = self.precisions[name]
            trainer = self.cfg.trainer["_target_"]
            if trainer != _USUAL_TRAINER and not stage.learns_from and not stage.own_precision:
                config["trainer"] = trainer
        if stage.auxiliary:
            config["auxiliary"] = self._auxiliary_inputs(name)
        if stage.scope not in ("samples", "images"):  # no single file has the digest of what it was made from
            config["inputs"] = self.inputs[stage.digests]
        parents = {
            parent: artifacts.key
            for parent, artifacts in self.parents(name).items()
            if parent not in stage.cache_parents
        }
        if stage.runs_trials:
            parents["trial"] = [*self.trial({}).artifacts.values()][-1].key
        return {
            "stage": name,
            "version": stage.version,
            "config": config,
            "parents": parents,
            "weights": {group: self._checksums(stage, group) for group in stage.weights} | nested,
        }

    def _precision(self, stage: Stage) -> tuple[str, str]:
        """The Trainer's precision of a stage, and why; the first process's device decides for all."""
        if stage.own_precision:
            return OmegaConf.select(self.cfg, stage.own_precision), stage.own_precision
        asked = self.cfg.trainer.get("precision", FULL)
        if asked != AUTO:
            return asked, "trainer.precision"
        with distributed.rank_zero_first():
            files = [path for group in stage.weights for path in self.objects.weight_files(group)]
        accelerator = self.cfg.trainer.get("accelerator", "auto")
        return distributed.from_rank_zero(stage_precision(stage, accelerator, files))

    def _auxiliary_inputs(self, name: str) -> dict[str, Any]:
        """Digests of a stage's auxiliary images, their true masks and stored results."""
        plan, stage = self.auxiliary(name), STAGES[name]
        assert plan.dataset is not None
        labels = self.objects.to_plan_with(name) if stage.makes_labels else None
        source = getattr(labels, "source", None)
        truth = stage.ground_truth is not None or source == "ground_truth"
        if truth and not plan.dataset.has_ground_truth:
            raise UserError(
                f"stage {name!r} needs true masks, but {stage.auxiliary} ({plan.dataset.name}, "
                f"{plan.dataset.split}) has none; give them, or leave {name} and what builds on it out of stages"
            )
        inputs = auxiliary_digests(plan.dataset, plan.inputs["samples"], self.digests, truth=truth)
        if labels is not None and source == "folder":
            inputs["masks"] = labels.digest(self.digests)
        return {**inputs, "keys": {made: artifacts.key for made, artifacts in plan.artifacts.items()}}

    def _checksums(self, stage: Stage, group: str) -> list[str]:
        trained = (parent for parent in stage.optional_parents if STAGES[parent].trains == group)
        if any(parent in self.artifacts for parent in trained):
            return []  # the parent's key stands for these weights
        with distributed.rank_zero_first():
            return self.objects.checksums(group)
