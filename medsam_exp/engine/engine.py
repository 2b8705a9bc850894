"""Computes what a plan's stages have not stored yet, one stage after the other, on every process of a job."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig

from medsam_exp.config.build import build
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import LostRecordError
from medsam_exp.runtime.console import stage_progress
from medsam_exp.runtime.threads import threads_per_process
from medsam_exp.stages.auto_precision import FULL
from medsam_exp.stages.pipeline import STAGES, stage_function
from medsam_exp.stages.records import Scores
from medsam_exp.types import UserError

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from medsam_exp.stages.context import AuxiliaryImages, StageContext

_MOST_THREADS = 16
_MOST_TURNS = 16
"""In which a store is mended, whose files may turn out to be damaged one after the other."""
_MOST_LOADING = 8
"""Processes that load for a training, each with its own share of a network's images in memory."""


T = TypeVar("T")


def with_lost_records_again(work: Callable[[], T]) -> T:
    """Do work that runs stages and reads their results, once more where records were lost that a stage had stored.

    A damaged record is found when it is read, perhaps long after the stage that made it was passed over. Processes of a
    job cannot turn back one by one: there, the job is to be started again.

    Raises:
        LostRecordError: records are lost again and again.
    """
    for _ in range(_MOST_TURNS if distributed.world_size() == 1 else 0):
        with suppress(LostRecordError):
            return work()
    return work()


@dataclass(frozen=True)
class _Timing:
    """What one stage took; `images` were computed now, `cached` were stored already."""

    seconds: float
    images: int
    images_per_second: float
    cached: int


def _ignore(_: Any) -> None:
    """Progress of processes that show none, and figures of trials."""


def _no_loggers() -> Sequence[Any]:
    return ()


class Engine:
    """Carries out a plan; what computes (torch, Lightning) is imported for the first stage that has work.

    Attributes:
        plan: keys and stored results of the stages.
        artifacts: the plan's, stored results by stage.
        dataset: the plan's images.
        sample_ids: of the dataset.
        timing: of the stages that were run.

    Args:
        plan: see above.
        loggers: gives Lightning loggers for training stages.
        log: receives figures while stages work.
        seed: of the generators that are no sample's own, set before the first work; None leaves them as they are.
        quiet: show no progress.
        images: which images these are, in words for the progress, where they are not the run's own.
    """

    def __init__(
        self,
        plan: Plan,
        loggers: Callable[[], Sequence[Any]] = _no_loggers,
        log: Callable[[Mapping[str, float]], None] = _ignore,
        *,
        seed: int | None = None,
        quiet: bool = False,
        images: str = "",
    ) -> None:
        self.plan = plan
        self.artifacts, self.dataset = plan.artifacts, plan.dataset
        self.sample_ids = plan.sample_ids
        self.timing: dict[str, _Timing] = {}
        self._loggers = loggers
        self._log = log
        self._seed = seed
        self._quiet = quiet
        self._images = images

    def run(self, name: str, sample_ids: Sequence[str] | None = None) -> None:
        """Bring one stage up to date.

        Args:
            name: of the stage.
            sample_ids: of a stage on samples, those to compute; None for all.

        Raises:
            UserError: the stage left a sample without a result.
        """
        stage, artifacts = STAGES[name], self.artifacts[name]
        partly = sample_ids is not None and stage.scope == "samples"
        wanted = tuple(sample_ids or ()) if partly else self.plan.results_of(name)
        artifacts.mark_used()
        # Who computes holds the stage's lock; stored results need none, and a search is shared.
        alone = distributed.rank() == 0 and not stage.runs_trials and artifacts.pending(wanted)
        with artifacts.locked() if alone else nullcontext():
            pending = distributed.from_rank_zero(artifacts.pending(wanted))
            started = time.perf_counter()
            if pending and (stage.processes == "all" or distributed.rank() == 0):
                self._compute(name, pending)
            distributed.barrier()
            seconds, computed = time.perf_counter() - started, len(pending)
            rate = computed / seconds if computed else 0.0
            self.timing[name] = _Timing(
                round(seconds, 3), computed, round(rate, 3), cached=len(wanted) - computed
            )
            if distributed.rank() == 0:
                self._finish(name, wanted)

    def run_all(self, sample_ids: Sequence[str] | None = None) -> None:
        """Bring all stages of the plan up to date; `sample_ids` as for `run`."""
        for name in self.artifacts:
            self.run(name, sample_ids)

    @cached_property
    def scores(self) -> Mapping[str, Scores]:
        """All scores of each sample, read once, after the last stage."""
        return self.plan.scores(self.sample_ids)

    def _compute(self, name: str, pending: tuple[str, ...]) -> None:
        from medsam_exp.stages.context import AuxiliaryImages

        self._seed_once()
        auxiliary = None
        if STAGES[name].auxiliary:
            plan = self.plan.auxiliary(name)
            engine = Engine(plan, self._loggers, quiet=self._quiet, images=STAGES[name].auxiliary or "")
            engine.run_all(pending if STAGES[name].repeats else None)
            assert plan.dataset is not None
            auxiliary = AuxiliaryImages(plan.dataset, plan.artifacts)
        shown = distributed.rank() == 0 and not self._quiet
        title = f"{name} ({self._images})" if self._images else name
        progress = stage_progress(title, len(pending)) if shown else nullcontext(_ignore)
        with progress as advance, self.plan.digests.trusted(), self.artifacts[name].gathered():
            stage_function(name)(self._context(name, pending, advance, auxiliary))

    def _seed_once(self) -> None:
        if self._seed is None:
            return
        import pytorch_lightning as pl

        pl.seed_everything(self._seed, workers=True, verbose=False)
        self._seed = None

    def _finish(self, name: str, wanted: tuple[str, ...]) -> None:
        missing = self.artifacts[name].pending(wanted)
        if missing:
            raise UserError(
                f"stage {name!r} left {len(missing)} samples without a result, the first is {missing[0]!r}"
            )
        description = self.plan.descriptions[name]
        if self.timing[name].images or not self.artifacts[name].has_manifest(description):
            self.artifacts[name].write_manifest(description, wanted)

    def _trial(
        self, values: Mapping[str, Any], sample_ids: Sequence[str]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Scores by sample id, what is scored and measure, of the pipeline with changed values on some images.

        Its stages store and reuse artifacts as any run does, so trials share what their values leave alone.
        """
        trial = Engine(self.plan.trial(values), quiet=True)
        trial.run_all(sample_ids)
        return trial.plan.scores(sample_ids)

    def _context(
        self,
        name: str,
        pending: tuple[str, ...],
        advance: Callable[[int], None],
        auxiliary: "AuxiliaryImages | None",
    ) -> "StageContext":
        from medsam_exp.stages.context import StageContext
        from medsam_exp.training.precision import of_encoders_alone

        cfg = self.plan.cfg
        precision, _ = self.plan.precisions[name]

        def make(group: str, **overrides: Any) -> Any:
            if group not in self.plan.rows[name].reads:
                raise KeyError(f"stage {name!r} does not declare that it reads {group!r}")
            return self.plan.object_of(name, group, **overrides)

        def trainer(**options: Any) -> "pl.Trainer":
            silent = ("enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
            around = FULL if of_encoders_alone(precision) else precision  # of what is not an encoder
            own = {"precision": around} if "precision" in cfg.trainer else {}
            result: pl.Trainer = build(cfg.trainer, **{**dict.fromkeys(silent, False), **own, **options})
            return result

        return StageContext(
            build=make,
            trainer=trainer,
            artifacts=self.artifacts[name],
            parents=self.plan.parents(name),
            dataset=self.dataset,  # type: ignore[arg-type]  # stages on samples always have one
            read_image=self.plan.read_image,  # type: ignore[arg-type]  # likewise
            texts=self.plan.texts,
            pending=pending,
            seed=cfg.seed,
            batch_size=cfg.batch_size.get(name, 1),
            workers=_loading_processes(cfg),
            threads=_threads(cfg),
            loggers=list(self._loggers()),
            advance=advance,
            log=self._log,
            auxiliary=auxiliary,
            trial=self._trial,
            precision=precision,
        )


def _threads(cfg: DictConfig) -> int:
    """Threads beside the main one: as many as asked for, or the machine's cores shared by the job's processes on it.

    More than a few wait for each other, and each reads ahead a batch.
    """
    if cfg.workers != "auto":
        return int(cfg.workers)
    return min(_MOST_THREADS, threads_per_process(distributed.processes_here()))


def _loading_processes(cfg: DictConfig) -> int:
    """Processes that load for a training: as many as asked for; else none beside a network that takes all cores."""
    if cfg.workers != "auto":
        return int(cfg.workers)
    import torch  # a plan whose stages are all stored does without it

    on_gpu = cfg.trainer.get("accelerator") != "cpu" and torch.cuda.is_available()
    return min(_MOST_LOADING, _threads(cfg)) if on_gpu else 0
