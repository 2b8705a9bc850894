"""Runs stages: plans their keys, decides what is already there, computes the rest, says how long it took."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config.auxiliary_images import auxiliary_config
from medsam_exp.config.build import build, identity
from medsam_exp.config.trials import trial_config
from medsam_exp.engine.input_digests import auxiliary_digests, input_digests
from medsam_exp.engine.planned_objects import PlannedObjects
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts, stage_key
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.runtime.progress import stage_progress
from medsam_exp.runtime.timing import Timing
from medsam_exp.stages.context import AuxiliaryImages, StageContext
from medsam_exp.stages.pipeline import STAGES, Stage, possible_parents, stage_function
from medsam_exp.training.precision import network_dtype
from medsam_exp.types import Dataset, UserError


class Engine:
    """The stages of one run over one dataset.

    Args:
        cfg: a checked configuration.
        stages: what to run, in order; their keys are planned at once, so missing weights are named first.
        dataset: the images; None when no stage works on samples.
        texts: texts by sample id.
        digests: content hashes of files.
        loggers: Lightning loggers for training stages.
        log: receives figures while stages work.
        quiet: show no progress.
        images: which images these are, in words for the progress, where they are not the run's own.
        make: makes the objects of the stages' config nodes; a session that keeps its networks gives its own.

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
        loggers: list[Any],
        log: Callable[[Mapping[str, float]], None],
        *,
        quiet: bool = False,
        images: str = "",
        make: Callable[..., Any] = build,
    ) -> None:
        self._quiet, self._images, self.objects = quiet, images, PlannedObjects(cfg, digests, make)
        self._cfg, self.dataset, self._texts, self._digests = cfg, dataset, texts, digests
        self._loggers, self._log = loggers, log
        self.sample_ids = tuple(sample.id for sample in dataset.samples) if dataset else ()
        self.artifacts: dict[str, StageArtifacts] = {}
        self.timing: dict[str, Timing] = {}
        self._descriptions: dict[str, dict[str, Any]] = {}
        self._auxiliaries: dict[str, Engine] = {}
        self._inputs = input_digests(cfg, stages, dataset, texts, digests, self.objects)
        for name in stages:
            self.artifacts[name] = self._planned(name)
        self._digests.save()

    def run(self, name: str) -> None:
        """Bring one stage up to date."""
        stage, artifacts = STAGES[name], self.artifacts[name]
        wanted = self._wanted(stage)
        first = distributed.rank() == 0
        artifacts.mark_used()
        # Whoever computes holds the stage's lock; what is there already needs none, and a search is shared.
        alone = first and not stage.runs_trials and artifacts.pending(wanted)
        with artifacts.locked() if alone else nullcontext():
            self._bring_up_to_date(name, stage, artifacts, wanted)

    def _wanted(self, stage: Stage) -> tuple[str, ...]:
        if stage.scope == "images" and self.dataset is not None:
            return tuple(dict.fromkeys(sample.image for sample in self.dataset.samples))
        return self.sample_ids if stage.scope == "samples" else ("all",)

    def _bring_up_to_date(
        self, name: str, stage: Stage, artifacts: StageArtifacts, wanted: tuple[str, ...]
    ) -> None:
        pending = distributed.from_rank_zero(artifacts.pending(wanted))
        started = time.perf_counter()
        if pending and (stage.processes == "all" or distributed.rank() == 0):
            shown = distributed.rank() == 0 and not self._quiet
            title = f"{name} ({self._images})" if self._images else name
            visible = stage_progress(title, len(pending)) if shown else nullcontext(_ignore)
            with visible as advance, self._digests.trusted():
                stage_function(name)(self._context(name, pending, advance))
        distributed.barrier()
        self.timing[name] = Timing.of(time.perf_counter() - started, len(pending), len(wanted))
        if distributed.rank() == 0:
            self._finish(name, wanted)

    @property
    def last(self) -> StageArtifacts:
        """Artifacts of the last stage."""
        return [*self.artifacts.values()][-1]

    def keys_in_use(self) -> set[str]:
        """Keys of all artifacts that the run's stages use, those of other images too."""
        others = (other.keys_in_use() for other in self._auxiliaries.values())
        return {artifacts.key for artifacts in self.artifacts.values()}.union(*others)

    def parents(self, name: str) -> dict[str, StageArtifacts]:
        """Artifacts of the stages that `name` builds on in this run; they stand before it."""
        stage = STAGES[name]
        candidates = [*stage.parents, *possible_parents(name), *stage.optional_parents, *stage.cache_parents]
        candidates += [
            parent
            for parent, key in stage.conditional_parents.items()
            if OmegaConf.select(self._cfg, key) is not None
        ]
        before = list(takewhile(lambda planned: planned != name, self.artifacts))
        return {parent: self.artifacts[parent] for parent in candidates if parent in before}

    def scores(self, sample_id: str) -> dict[str, dict[str, float]]:
        """All scores that stages of this run gave one sample, by what is scored ("coarse", "sam") and measure."""
        found: dict[str, dict[str, float]] = {}
        for name, artifacts in self.artifacts.items():
            if STAGES[name].gives_scores:
                for scored, measures in artifacts.info(sample_id)["scores"].items():
                    found.setdefault(scored, {}).update(measures)
        return found

    def trial(
        self, values: Mapping[str, Any], sample_ids: Sequence[str]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Scores by sample id, what is scored and measure, of the pipeline with changed values on some images.

        Its stages store and reuse artifacts as any run does, so trials share what their values leave alone.
        """
        trial = self._trial_engine(values)
        trial.sample_ids = tuple(sample_ids)
        for name in trial.artifacts:
            trial.run(name)
        return {sample_id: trial.scores(sample_id) for sample_id in trial.sample_ids}

    def _trial_engine(self, values: Mapping[str, Any]) -> "Engine":
        cfg = trial_config(self._cfg, values)
        stages, dataset, texts = list(cfg.stages), self.dataset, self._texts
        return Engine(cfg, stages, dataset, texts, self._digests, [], _forget, quiet=True)

    def auxiliary(self, name: str) -> "Engine":
        """The stages that a stage needs of images other than the run's own."""
        if name not in self._auxiliaries:
            cfg, stages = auxiliary_config(self._cfg, name)
            dataset = self._shared_dataset(cfg.data)
            texts = build(cfg.text).bind(dataset.samples) if stages else {}
            given, images = (cfg, stages, dataset, texts, self._digests), STAGES[name].auxiliary or ""
            self._auxiliaries[name] = Engine(*given, self._loggers, _forget, images=images)
        return self._auxiliaries[name]

    def _shared_dataset(self, data: DictConfig) -> Dataset:
        """A dataset for which an earlier stage's may serve, because its files are read once."""
        for other in self._auxiliaries.values():
            if other._cfg.data == data and other.dataset is not None:
                return other.dataset
        dataset: Dataset = build(data)
        return dataset

    def _auxiliary_images(self, name: str) -> AuxiliaryImages:
        other = self.auxiliary(name)
        assert other.dataset is not None

        def bring_up_to_date() -> None:
            for stage in other.artifacts:
                other.run(stage)

        return AuxiliaryImages(other.dataset, bring_up_to_date, other.artifacts)

    def _auxiliary_inputs(self, name: str) -> dict[str, Any]:
        """What a stage's other images and their masks stand for, for its key."""
        other, stage = self.auxiliary(name), STAGES[name]
        assert other.dataset is not None
        own = self.objects.to_plan_with(name) if name in self._cfg else None  # what makes labels
        truth = stage.ground_truth is not None or getattr(own, "source", None) == "ground_truth"
        if truth and not other.dataset.has_ground_truth:
            raise UserError(
                f"stage {name!r} needs true masks, but {stage.auxiliary} ({other.dataset.name}, "
                f"{other.dataset.split}) has none; give them, or leave {name} and what builds on it out of stages"
            )
        inputs = auxiliary_digests(other.dataset, other._inputs["samples"], own, self._digests, truth=truth)
        return {**inputs, "keys": {made: artifacts.key for made, artifacts in other.artifacts.items()}}

    def _finish(self, name: str, wanted: tuple[str, ...]) -> None:
        missing = self.artifacts[name].pending(wanted)
        if missing:
            raise UserError(
                f"stage {name!r} left {len(missing)} samples without a result, the first is {missing[0]!r}"
            )
        if self.timing[name].images or not self.artifacts[name].has_manifest:
            self.artifacts[name].write_manifest(self._descriptions[name], wanted)

    def _context(self, name: str, pending: tuple[str, ...], advance: Callable[[int], None]) -> StageContext:
        stage, encoder_dtype = STAGES[name], network_dtype(self._cfg.trainer.get("precision"))

        def make(group: str, **overrides: Any) -> Any:
            if group not in stage.reads:
                raise KeyError(f"stage {name!r} does not declare that it reads {group!r}")
            planned = self._descriptions[name]["weights"].get(group, ())
            return self.objects.to_work_with(group, planned, **overrides)

        def trainer(**options: Any) -> pl.Trainer:
            silent = ("enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
            true = {} if encoder_dtype is None else {"precision": "32-true"}  # of what is not an encoder
            return build(self._cfg.trainer, **{**dict.fromkeys(silent, False), **true, **options})

        return StageContext(
            build=make,
            trainer=trainer,
            artifacts=self.artifacts[name],
            parents=self.parents(name),
            dataset=self.dataset,  # type: ignore[arg-type]  # stages on samples always have one
            texts=self._texts,
            pending=pending,
            seed=self._cfg.seed,
            batch_size=self._cfg.batch_size.get(name, 1),
            workers=self._cfg.workers,
            loggers=self._loggers,
            advance=advance,
            log=self._log,
            auxiliary=self._auxiliary_images(name) if stage.auxiliary else None,
            trial=self.trial,
            encoder_dtype=encoder_dtype,
        )

    def _planned(self, name: str) -> StageArtifacts:
        description = self._descriptions[name] = self._description(name)
        key = stage_key(
            name,
            description["version"],
            description["config"],
            description["parents"],
            description["weights"],
        )
        samples = self._inputs[STAGES[name].digests]
        return StageArtifacts(Path(self._cfg.paths.artifacts), name, key, samples)

    def _description(self, name: str) -> dict[str, Any]:
        """What a key stands for; every process must ask at the same time, as weights may be downloaded."""
        stage = STAGES[name]
        config = {
            group: identity(
                self._cfg[group],
                without_paths=group in (*stage.weights, *stage.content_keyed),
                without=stage.not_keyed.get(group, ()),
            )
            for group in stage.reads
        }
        if stage.weights or stage.trains:
            config["precision"] = self._cfg.trainer.get("precision", "32-true")
        if stage.auxiliary:
            config["auxiliary"] = self._auxiliary_inputs(name)
        one_by_one = stage.scope in ("samples", "images")
        if not one_by_one:  # no single file carries the digest of what it was made from
            config["inputs"] = self._inputs[stage.digests]
        return {
            "stage": name,
            "version": stage.version,
            "config": config,
            "parents": {
                parent: artifacts.key
                for parent, artifacts in self.parents(name).items()
                if parent not in stage.cache_parents
            }
            | ({"trial": self._trial_engine({}).last.key} if stage.runs_trials else {}),
            "weights": {group: self._checksums(stage, group) for group in stage.weights},
        }

    def _checksums(self, stage: Stage, group: str) -> list[str]:
        trained = (parent for parent in stage.optional_parents if STAGES[parent].trains == group)
        if any(parent in self.artifacts for parent in trained):
            return []  # the parent's key stands for these weights
        with distributed.rank_zero_first():
            return self.objects.checksums(group)


def _ignore(_: int) -> None:
    """Progress of processes that show none."""


def _forget(_: Mapping[str, float]) -> None:
    """Figures of single images of a trial."""
