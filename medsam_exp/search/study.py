"""An Optuna study in an SQLite file, which goes on where it was when its process was killed."""

import itertools
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from medsam_exp.search.space import Choices, Range, Space, Value, grid

log = logging.getLogger(__name__)

SamplerName = Literal["grid", "tpe"]
Score = dict[str, Any]
"""One measure summarised over images: mean, std, ci95, n."""


@dataclass(frozen=True)
class Trial:
    """One set of values that was tried.

    Attributes:
        values: by dotted key.
        score: what it reached; None when it failed.
        error: why it failed; None when it did not.
    """

    values: dict[str, Value]
    score: Score | None
    error: str | None = None


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        space: what varies.
        sampler: "grid" tries every combination; "tpe" proposes values by what was good so far (Bergstra 2011).
        maximize: whether a higher score is better.
        trials: how many "tpe" tries; a grid is always tried whole.
        timeout: seconds after which no new trial starts; None for no limit.
        seed: of the proposals of "tpe".
    """

    space: Space
    sampler: SamplerName
    maximize: bool
    trials: int | None = None
    timeout: float | None = None
    seed: int = 0

    def run(
        self, file: Path, evaluate: Callable[[dict[str, Value]], Score], *, survive: bool = True
    ) -> list[Trial]:
        """Try values until the search is complete.

        Trials that `file` already has are not repeated; one that was cut off is. Each proposal depends on the seed
        and the finished trials alone, so an interrupted search tries what an undisturbed one tries.

        Args:
            file: SQLite file of the study; made when missing.
            evaluate: scores one set of values; the study goes by the score's `mean`.
            survive: record a trial that raises as failed and go on, instead of ending the search.

        Returns:
            All finished trials: of a grid in the order of the space, else as they were tried.
        """
        study, deadline = self._study(file), time.monotonic() + (self.timeout or math.inf)
        while self._is_open(study) and time.monotonic() < deadline:
            trial = self._asked(study)
            try:
                score = evaluate(dict(trial.params))
                if not math.isfinite(score["mean"]):
                    raise ValueError(f"its score is {score['mean']}")
            except Exception as error:
                sentence = str(error) or type(error).__name__
                log.warning("trial %s failed: %s", describe(trial.params), sentence)
                trial.set_user_attr("error", sentence)
                study.tell(trial, state=TrialState.FAIL)
                if not survive:
                    raise
            else:
                log.info("%-12s %s: %.4f", "trial", describe(trial.params), score["mean"])
                trial.set_user_attr("score", score)
                study.tell(trial, score["mean"])
        return self._in_order([_as_trial(trial) for trial in _finished(study)])

    def best(self, trials: list[Trial]) -> Trial | None:
        """The trial with the best mean; of equals the one whose values stand first; None when all failed."""
        scored = [trial for trial in trials if trial.score is not None]
        sign = 1 if self.maximize else -1
        return max(scored, key=lambda trial: sign * trial.score["mean"], default=None)  # type: ignore[index]

    def _study(self, file: Path) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # trials are told once, by us
        file.parent.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            storage=f"sqlite:///{file.resolve()}",
            study_name="tune",
            direction="maximize" if self.maximize else "minimize",
            load_if_exists=True,
        )

    def _is_open(self, study: optuna.Study) -> bool:
        if self.sampler == "grid":
            return bool(self._untried(study))
        return len(_finished(study)) < (self.trials or 0)

    def _asked(self, study: optuna.Study) -> optuna.Trial:
        """The next trial with its values.

        Optuna's own grid sampler counts a trial as done that was broken off, so the grid's next point is put into the
        study's queue instead. A process that was killed just then has left it there already.
        """
        if self.sampler == "grid" and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.enqueue_trial(self._untried(study)[0])
        seed = np.random.SeedSequence([self.seed, len(_finished(study))]).generate_state(1)[0]
        study.sampler = TPESampler(seed=int(seed))  # a new one each time, as if the process had just begun
        trial = study.ask()
        for key, entry in self._entries().items():
            _suggest(trial, key, entry)
        return trial

    def _entries(self) -> Space:
        """The space as it is asked for: a grid knows no ranges."""
        if self.sampler != "grid":
            return self.space
        return {key: Choices(tuple(values)) for key, values in grid(self.space).items()}

    def _untried(self, study: optuna.Study) -> list[dict[str, Value]]:
        listed, finished = grid(self.space), [trial.params for trial in _finished(study)]
        points = (dict(zip(listed, point, strict=True)) for point in itertools.product(*listed.values()))
        return [point for point in points if point not in finished]

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


def _suggest(trial: optuna.Trial, key: str, entry: Choices | Range) -> None:
    if isinstance(entry, Choices):
        trial.suggest_categorical(key, list(entry.values))
    elif entry.whole:
        step = int(entry.step or 1)
        trial.suggest_int(key, int(entry.low), int(entry.high), step=step, log=entry.log)
    else:
        trial.suggest_float(key, entry.low, entry.high, step=entry.step, log=entry.log)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end; one that was cut off by a kill stays "running" for ever and is not among them."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))


def _as_trial(trial: FrozenTrial) -> Trial:
    failed = trial.state == TrialState.FAIL
    score = None if failed else dict(trial.user_attrs["score"])
    return Trial(
        dict(trial.params), score, trial.user_attrs.get("error", "no reason given") if failed else None
    )
