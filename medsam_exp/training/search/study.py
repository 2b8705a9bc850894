"""An Optuna study in an SQLite file: resumed when its process was killed, shared by several processes."""

import itertools
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medsam_exp.metrics.clusters import Clusters
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.extras import require
from medsam_exp.training.pruner.none import NoPruner
from medsam_exp.training.pruner.rungs import Pruner
from medsam_exp.training.search.space import Choices, Range, Space, Value, describe, grid
from medsam_exp.training.search.workers import Workers

require("optuna")  # first, as it says what installs it

# ruff: noqa: E402
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

log = logging.getLogger(__name__)

SamplerName = Literal["grid", "tpe"]
Score = dict[str, Any]
"""One measure summarised over images: mean, std, ci95, n."""
Evaluate = Callable[[dict[str, Value], int], Sequence[float]]
"""Scores of one set of values on each of the first so many images."""

_STUDY = "tune"
_WORKER, _ABANDONED = "worker", "abandoned"
"""Attributes of a trial: the worker that runs it; whether it was cut off before it had all its values."""
_POLL_S = 0.5
_DATABASE_TIMEOUT_S = 60  # with another worker that writes to the file


@dataclass(frozen=True)
class Trial:
    """One set of values that was tried.

    Attributes:
        values: by dotted key.
        score: on the images of its last rung; None when it failed.
        error: why it failed; None when it did not.
        stopped: whether it was pruned, so that it was scored on some of the images only.
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
        sampler: "grid" tries every combination; "tpe" proposes values by the scores so far (tree-structured Parzen
            estimator, Bergstra 2011).
        maximize: whether a higher score is better.
        trials: how many "tpe" tries; a grid is always tried completely.
        timeout: seconds after which no new trial starts; None for no limit.
        seed: of the proposals of "tpe", and of the scores' intervals.
        images: how many a trial is scored on.
        pruner: when a trial stops early.
        clusters: (images,) the patient of each, in the order in which trials are scored on them; None where unknown.
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

        Trials that `file` already has are not repeated; one whose process died is taken over with its values. Each
        proposal depends on the seed and the earlier trials alone, so an interrupted search tries what an undisturbed
        one tries. Processes that run this at the same time on the same file share the trials, and all of them return
        when the last one is finished. Then a grid without a pruner still gives the same table; which values "tpe"
        proposes and which trials are pruned depends on what was finished when.

        Args:
            file: SQLite file of the study; made when missing, with lock files beside it.
            evaluate: scores one set of values on the first so many images, in one order for all trials.
            survive: record a trial that raises as failed and go on, instead of ending the search.

        Returns:
            All finished trials: of a grid in the order of the space, else as they were tried.
        """
        deadline, workers = time.monotonic() + (self.timeout or math.inf), Workers(file.parent)
        with workers.registered():
            with workers.lock:
                shared = _SharedStudy(self, file, workers)
            while (trial := shared.next_trial(deadline)) is not None:
                self._run_trial(shared.study, trial, evaluate, survive=survive)
            with workers.lock:  # of workers that end together one is the last
                trials = self._in_order([_as_trial(trial) for trial in shared.finished])
                workers.deregister()
                if not any(trial.score for trial in trials) and not workers.others_alive:
                    file.unlink()  # nothing in it is worth keeping, and the same command shall try again
        return trials

    def best(self, trials: list[Trial]) -> Trial | None:
        """The trial with the best mean; the first of equal ones; None when all failed."""
        scored = [trial for trial in trials if trial.score is not None and not trial.stopped]
        sign = 1 if self.maximize else -1
        return max(scored, key=lambda trial: sign * trial.score["mean"], default=None)  # type: ignore[index]

    def _run_trial(
        self, study: optuna.Study, trial: optuna.Trial, evaluate: Evaluate, *, survive: bool
    ) -> None:
        """Score a trial and tell the study."""
        try:
            score, pruned = self._score(study, trial, evaluate)
        except Exception as error:
            sentence = str(error) or type(error).__name__
            log.warning("trial %s failed: %s", describe(trial.params), sentence)
            log.debug("its traceback:", exc_info=True)
            trial.set_user_attr("error", sentence)
            study.tell(trial, state=TrialState.FAIL)
            if not survive:
                raise
            return
        after = f", stopped after {score['n']} of {self.images} images" if pruned else ""
        log.info("%-12s %s: %.4f%s", "trial", describe(trial.params), score["mean"], after)
        trial.set_user_attr("score", score)
        trial.set_user_attr("stopped", pruned)
        if pruned and not self.pruner.keeps_score:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, score["mean"])

    def _score(self, study: optuna.Study, trial: optuna.Trial, evaluate: Evaluate) -> tuple[Score, bool]:
        """Score a trial rung by rung, until all images are scored or it is pruned.

        Returns:
            The score, and whether the trial was pruned.
        """
        before = study.get_trials(deepcopy=False)[trial.number]  # of a takeover, as its last process left it
        reported = set(before.intermediate_values)
        for count in self.pruner.rungs(self.images):
            scores = evaluate(dict(trial.params), count)
            mean = float(np.mean(scores))
            if not math.isfinite(mean):
                raise ValueError(f"its score is {mean}")
            clusters = self.clusters and self.clusters[:count]
            for step, value in self.pruner.reports(scores, clusters).items():
                if step not in reported:
                    trial.report(value, step)
                    reported.add(step)
            if count < self.images and trial.should_prune():
                return summarise(scores, self.seed, clusters), True
        return summarise(scores, self.seed, self.clusters), False

    def _in_order(self, trials: list[Trial]) -> list[Trial]:
        if self.sampler != "grid":
            return trials
        listed = grid(self.space)
        return sorted(trials, key=lambda trial: [listed[key].index(trial.values[key]) for key in listed])


class _SharedStudy:
    """A study as one worker sees it.

    Args:
        search: what to search.
        file: SQLite file of the study; made when missing.
        workers: the registry, in which this process is registered; its lock is held.
    """

    def __init__(self, search: Search, file: Path, workers: Workers) -> None:
        self._search, self._workers = search, workers
        with _quiet_optuna():
            self._storage = optuna.storages.RDBStorage(
                f"sqlite:///{file.resolve()}",
                engine_kwargs={"connect_args": {"timeout": _DATABASE_TIMEOUT_S}},
            )
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=_STUDY,
                direction="maximize" if search.maximize else "minimize",
                pruner=search.pruner.rule(),
                load_if_exists=True,
            )
        space: Space = search.space
        if search.sampler == "grid":  # which knows no ranges
            space = {key: Choices(tuple(values)) for key, values in grid(space).items()}
        self._distributions = {key: _distribution(entry) for key, entry in space.items()}

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials that came to an end, pruned and failed ones too."""
        return [trial for trial in self._begun() if trial.state.is_finished()]

    @property
    def running(self) -> list[FrozenTrial]:
        """Trials that a worker runs, or ran when it was killed."""
        return self._in_state(TrialState.RUNNING)

    def next_trial(self, deadline: float) -> optuna.Trial | None:
        """The next trial for this worker; None when all are finished, those of other workers too."""
        while True:
            with self._workers.lock:
                trial = (self._orphan() or self._proposed()) if time.monotonic() < deadline else None
                if trial is not None:
                    trial.set_user_attr(_WORKER, self._workers.name)
                    return trial
                if all(map(self._is_orphan, self.running)):
                    return None
            time.sleep(_POLL_S)  # another worker may die before its trial is finished

    def _begun(self) -> list[FrozenTrial]:
        """Trials that were begun, by one look at the study, as others may end meanwhile; without abandoned ones."""
        trials = self.study.get_trials(deepcopy=False)
        return [
            trial
            for trial in trials
            if trial.state != TrialState.WAITING and not trial.user_attrs.get(_ABANDONED)
        ]

    def _in_state(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether the process that ran a trial is gone."""
        return not self._workers.is_alive(trial.user_attrs.get(_WORKER))

    def _orphan(self) -> optuna.Trial | None:
        """A trial to take over; one that was cut off before it had all its values is abandoned."""
        study_id = self._storage.get_study_id_from_name(_STUDY)
        for orphan in filter(self._is_orphan, self.running):
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, orphan.number)
            trial = optuna.Trial(self.study, trial_id)
            if orphan.params.keys() == self._distributions.keys():
                return trial
            trial.set_user_attr(_ABANDONED, True)
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    def _proposed(self) -> optuna.Trial | None:
        """A new trial with its values; None when the search has all it wants.

        Optuna's own grid sampler counts a trial as done that was broken off, so the grid's next point is put into the
        study's queue instead. A process that was killed just then has left it there already.
        """
        begun = self._begun()
        if self._search.sampler == "grid":
            if not self._in_state(TrialState.WAITING):
                if (point := self._untried([trial.params for trial in begun])) is None:
                    return None
                self.study.enqueue_trial(point)
        elif len(begun) >= (self._search.trials or 0):
            return None
        seed = np.random.SeedSequence([self._search.seed, len(begun)]).generate_state(1)[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # a new one each time, as if the process had just begun; away from what other workers try now
            self.study.sampler = TPESampler(seed=int(seed), constant_liar=True)
        return self.study.ask(self._distributions)

    def _untried(self, begun: Sequence[Mapping[str, Value]]) -> dict[str, Value] | None:
        """The first point of the grid that no trial has."""
        listed = grid(self._search.space)
        points = (dict(zip(listed, point, strict=True)) for point in itertools.product(*listed.values()))
        return next((point for point in points if point not in begun), None)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Hide Optuna's line on the study that it makes or finds."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(entry: Choices | Range) -> BaseDistribution:
    if isinstance(entry, Choices):
        return CategoricalDistribution(entry.values)
    if entry.is_integer:
        return IntDistribution(int(entry.low), int(entry.high), log=entry.log, step=int(entry.step or 1))
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def _as_trial(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    if trial.state == TrialState.FAIL:
        return Trial(dict(trial.params), None, attributes.get("error", "no reason given"))
    return Trial(dict(trial.params), dict(attributes["score"]), stopped=attributes["stopped"])
