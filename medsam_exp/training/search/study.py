"""An Optuna study in an SQLite file: goes on where it was when its process was killed, shared by several processes."""

from __future__ import annotations

import itertools
import logging
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.extras import require
from medsam_exp.training.pruner.none import NoPruner
from medsam_exp.training.pruner.rungs import Pruner
from medsam_exp.training.search.space import Choices, Range, Space, Value, grid
from medsam_exp.training.search.workers import Workers

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import TPESampler
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

SamplerName = Literal["grid", "tpe"]
Score = dict[str, Any]
"""One measure summarised over images: mean, std, ci95, n."""
Evaluate = Callable[[dict[str, Value], int], Sequence[float]]
"""Scores of one set of values on each of the first so many images."""

_WORKER, _GIVEN_UP = "worker", "given_up"
_POLL_S = 0.5
_PATIENCE_S = 60  # with another worker that writes to the file


@dataclass(frozen=True)
class Trial:
    """One set of values that was tried.

    Attributes:
        values: by dotted key.
        score: what it reached, on the images that it looked at; None when it failed.
        error: why it failed; None when it did not.
        stopped: whether it was so clearly bad that it looked at some of the images only.
    """

    values: dict[str, Value]
    score: Score | None
    error: str | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        space: what varies.
        sampler: "grid" tries every combination; "tpe" proposes values by what was good so far (Bergstra 2011).
        maximize: whether a higher score is better.
        trials: how many "tpe" tries; a grid is always tried whole.
        timeout: seconds after which no new trial starts; None for no limit.
        seed: of the proposals of "tpe", and of the scores' intervals.
        images: how many a trial is scored on.
        pruner: when a trial stops early.
        clusters: (images,) the patient of each, in the order in which trials look at them; None where unknown.
    """

    space: Space
    sampler: SamplerName
    maximize: bool
    trials: int | None = None
    timeout: float | None = None
    seed: int = 0
    images: int = 1
    pruner: Pruner = field(default_factory=NoPruner)
    clusters: Clusters | None = None

    def run(self, file: Path, evaluate: Evaluate, *, survive: bool = True) -> list[Trial]:
        """Try values until the search is complete.

        Trials that `file` already has are not repeated; one that was cut off is taken over with its values. Each
        proposal depends on the seed and the earlier trials alone, so an interrupted search tries what an undisturbed
        one tries. Processes that do this at the same time on the same file share the trials, and all of them return
        when the last one is finished. Then a grid without a pruner still gives the same table; which values "tpe"
        proposes and which trials stop early depends on what was finished when.

        Args:
            file: SQLite file of the study; made when missing, with lock files beside it.
            evaluate: scores one set of values on the first so many images, in one order for all trials.
            survive: record a trial that raises as failed and go on, instead of ending the search.

        Returns:
            All finished trials: of a grid in the order of the space, else as they were tried.

        Raises:
            UserError: Optuna is not installed.
        """
        require("optuna")
        deadline, workers = time.monotonic() + (self.timeout or math.inf), Workers(file.parent)
        with workers.joined():
            with workers.alone():
                study = self._study(file)
            while (trial := self._next(study, workers, deadline)) is not None:
                self._try(study, trial, evaluate, survive=survive)
            with workers.alone():  # of workers that end together one is the last
                trials = self._in_order([_as_trial(trial) for trial in _finished(study)])
                workers.leave()
                if not any(trial.score for trial in trials) and not workers.others:
                    file.unlink()  # nothing in it is worth keeping, and the same command shall try again
        return trials

    def best(self, trials: list[Trial]) -> Trial | None:
        """The trial with the best mean; of equals the one that stands first; None when all failed."""
        scored = [trial for trial in trials if trial.score is not None and not trial.stopped]
        sign = 1 if self.maximize else -1
        return max(scored, key=lambda trial: sign * trial.score["mean"], default=None)  # type: ignore[index]

    def _study(self, file: Path) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)  # trials are told once, by us
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{file.resolve()}", engine_kwargs={"connect_args": {"timeout": _PATIENCE_S}}
        )
        return optuna.create_study(
            storage=storage,
            study_name="tune",
            direction="maximize" if self.maximize else "minimize",
            pruner=self.pruner.rule(),
            load_if_exists=True,
        )

    def _next(self, study: optuna.Study, workers: Workers, deadline: float) -> optuna.Trial | None:
        """The next trial for this worker; None when all are finished, others' too."""
        while True:
            with workers.alone():
                in_time = time.monotonic() < deadline
                trial = self._orphan(study, workers) or self._asked(study) if in_time else None
                if trial is not None:
                    trial.set_user_attr(_WORKER, workers.name)
                    return trial
                if not any(workers.lives(other.user_attrs.get(_WORKER)) for other in _running(study)):
                    return None
            time.sleep(_POLL_S)  # another worker may die over its trial

    def _orphan(self, study: optuna.Study, workers: Workers) -> optuna.Trial | None:
        """A trial whose process is gone; one that was cut off before it had all its values is given up."""
        import optuna
        from optuna.trial import TrialState

        for left in _running(study):
            if workers.lives(left.user_attrs.get(_WORKER)):
                continue
            trial = optuna.Trial(study, left._trial_id)
            if left.params.keys() == self._entries().keys():
                return trial
            trial.set_user_attr(_GIVEN_UP, True)
            study.tell(trial, state=TrialState.FAIL)
        return None

    def _asked(self, study: optuna.Study) -> optuna.Trial | None:
        """A new trial with its values; None when the search has all it wants.

        Optuna's own grid sampler counts a trial as done that was broken off, so the grid's next point is put into the
        study's queue instead. A process that was killed just then has left it there already.
        """
        from optuna.trial import TrialState

        begun = len(_finished(study)) + len(_running(study))
        if self.sampler == "grid":
            if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                if not (untried := self._untried(study)):
                    return None
                study.enqueue_trial(untried[0])
        elif begun >= (self.trials or 0):
            return None
        seed = np.random.SeedSequence([self.seed, begun]).generate_state(1)[0]
        study.sampler = _sampler(int(seed))  # a new one each time, as if the process had just begun
        trial = study.ask()
        for key, entry in self._entries().items():
            _suggest(trial, key, entry)
        return trial

    def _try(self, study: optuna.Study, trial: optuna.Trial, evaluate: Evaluate, *, survive: bool) -> None:
        """Score a trial and tell the study."""
        from optuna.trial import TrialState

        try:
            score, stopped = self._looked_at(study, trial, evaluate)
        except Exception as error:
            sentence = str(error) or type(error).__name__
            log.warning("trial %s failed: %s", describe(trial.params), sentence)
            trial.set_user_attr("error", sentence)
            study.tell(trial, state=TrialState.FAIL)
            if not survive:
                raise
            return
        after = f", stopped after {score['n']} of {self.images} images" if stopped else ""
        log.info("%-12s %s: %.4f%s", "trial", describe(trial.params), score["mean"], after)
        trial.set_user_attr("score", score)
        trial.set_user_attr("stopped", stopped)
        if stopped and self.pruner.stopped_as == TrialState.PRUNED:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, score["mean"])

    def _looked_at(self, study: optuna.Study, trial: optuna.Trial, evaluate: Evaluate) -> tuple[Score, bool]:
        """Score a trial on more and more images, until it is at all of them or too bad.

        Returns:
            The score, and whether the trial was stopped early.
        """
        known = study.get_trials(deepcopy=False)[
            trial.number
        ].intermediate_values  # of one that was taken over
        told = set(known)
        for count in self.pruner.looks(self.images):
            scores = evaluate(dict(trial.params), count)
            mean = float(np.mean(scores))
            if not math.isfinite(mean):
                raise ValueError(f"its score is {mean}")
            for step, value in self.pruner.reports(scores, self._of_first(count)).items():
                if step not in told:
                    trial.report(value, step)
                    told.add(step)
            if count < self.images and trial.should_prune():
                return summarise(scores, self.seed, self._of_first(count)), True
        return summarise(scores, self.seed, self.clusters), False

    def _of_first(self, count: int) -> Clusters | None:
        """Patients of the first so many images."""
        return self.clusters and self.clusters[:count]

    def _entries(self) -> Space:
        """The space as it is asked for: a grid knows no ranges."""
        if self.sampler != "grid":
            return self.space
        return {key: Choices(tuple(values)) for key, values in grid(self.space).items()}

    def _untried(self, study: optuna.Study) -> list[dict[str, Value]]:
        listed = grid(self.space)
        begun = [trial.params for trial in (*_finished(study), *_running(study))]
        points = (dict(zip(listed, point, strict=True)) for point in itertools.product(*listed.values()))
        return [point for point in points if point not in begun]

    def _in_order(self, trials: list[Trial]) -> list[Trial]:
        if self.sampler != "grid":
            return trials
        listed = grid(self.space)
        return sorted(trials, key=lambda trial: [listed[key].index(trial.values[key]) for key in listed])


def describe(values: Mapping[str, Value]) -> str:
    """Values in words: "saliency.beta=0.3, saliency.layer=2"."""
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def _sampler(seed: int) -> TPESampler:
    """Proposes values, away from those that other workers try now."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, constant_liar=True)


def _suggest(trial: optuna.Trial, key: str, entry: Choices | Range) -> None:
    if isinstance(entry, Choices):
        trial.suggest_categorical(key, list(entry.values))
    elif entry.whole:
        step = int(entry.step or 1)
        trial.suggest_int(key, int(entry.low), int(entry.high), step=step, log=entry.log)
    else:
        trial.suggest_float(key, entry.low, entry.high, step=entry.step, log=entry.log)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end, those stopped early and failed ones too."""
    from optuna.trial import TrialState

    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=ended)
    return [trial for trial in trials if not trial.user_attrs.get(_GIVEN_UP)]


def _running(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that a worker is at, or was at when it was killed."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _as_trial(trial: FrozenTrial) -> Trial:
    from optuna.trial import TrialState

    attributes = trial.user_attrs
    if trial.state == TrialState.FAIL:
        return Trial(dict(trial.params), None, attributes.get("error", "no reason given"))
    return Trial(dict(trial.params), dict(attributes["score"]), stopped=attributes["stopped"])
